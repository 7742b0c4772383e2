"""Search of templates' decisions: spaces, measurement in a process of its own, records in MetaSchedule's database.

Records are found by workload and threads. They are looked up by `records`, written by `database`, found by
`tune`; what is measured is a `task`.
"""
