//! Numbers by their names: what `metrics` say, read from results, averaged over seeds, written for a text. The kind `values`, claims
//! and comparisons all read them here.

pub mod claims;
pub mod number;
pub mod read;
pub mod seeds;
pub mod show;
