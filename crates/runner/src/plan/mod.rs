//! What would run, and why: keys and their explanation, the plan, and the caches that spare the work.

pub mod assignment;
pub mod decide;
pub mod drawing;
pub mod error;
pub mod explanation;
pub mod folders;
pub mod graph_cache;
pub mod picture;
pub mod planned;
pub mod preimage;
pub mod resolve;
pub mod rows;
