"""From planned stages to kernel calls: workloads, address tables, packed weights and the program."""
