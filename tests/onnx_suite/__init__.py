"""ONNX's own backend cases, every one compiled and run: each is right, or refused with a reason.

python -m tests.onnx_suite -k resize      what became of the cases whose names hold "resize"
python -m tests.onnx_suite --update       all of them, and the table written again
python -m tests.onnx_suite --check        all of them, held against the table
"""
