//! Tables: read into polars frames ([`read`], [`parquet`]), worked on as such ([`frame`]), chosen and named for print
//! ([`mod@print`]), and kept as Parquet together with how they are printed ([`presentation`]).

pub mod frame;
pub mod head;
pub mod parquet;
pub mod presentation;
pub mod print;
pub mod read;
