//! What a network takes and gives beside x and the noise in it.

use serde::{Deserialize, Serialize};

/// The outputs and the classes of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Head {
    /// Whether it predicts a variance too: the rows of the result are then the noise and, after it, v (Nichol and Dhariwal
    /// 2021, eq. 15).
    pub variance: bool,
    /// The number of classes that it knows; 0 for none.
    pub classes: usize,
}
