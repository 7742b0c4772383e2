"""Workload descriptions, schedule templates and machine parameters. Imports TVM and nothing of ours."""
