//! The JSON Schema of a pipeline file, for editors.
