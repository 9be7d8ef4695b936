//! A paper in LaTeX beside a run: what it says of the run's numbers, and the files that a publisher takes.

pub mod check;
pub mod document;
pub mod figures;
pub mod numbers;
pub mod results;
pub mod scan;
pub mod tarball;
