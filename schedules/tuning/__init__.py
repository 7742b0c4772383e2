"""The search of templates' decisions, and the records it leaves, in MetaSchedule's database.

task → space → search → measure (in a process of its own) → database → records → a compilation
"""
