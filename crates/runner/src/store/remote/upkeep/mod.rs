//! Upkeep of a remote store: what takes the space, what nobody needs, what is damaged.

pub mod du;
pub mod gc;
pub mod survey;
pub mod verify;
