//! What a mean is over.

/// Whether a parameter or a column is averaged over unless told otherwise: `seed`, and those that end in `_seed`.
pub fn is_seed(name: &str) -> bool {
    name == "seed" || name.ends_with("_seed")
}
