"""The networks behind the ONNX files: one module class per model, what to expect of it beside it."""
