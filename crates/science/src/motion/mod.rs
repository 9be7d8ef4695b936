//! Random paths of one particle in a potential, and the law that a path's probability decays exponentially with its action.
//!
//! - Hamiltonian systems: a particle of mass m, moving from a to b in N steps of δt around the path of least action, with a
//!   random displacement of variance σ² = 2 D δt in each step. The probability of a tube around a path, counted or computed
//!   exactly, against the path's action: −ln P = γ A + c with γ = 1/(2 m D). The displacement from the least-action path does
//!   not depend on the potential, so [`tubes`], [`counting`] and [`quadrature`] work with offsets (x − f)/σ alone; the
//!   potential enters through the actions. [`path_entropy`] is the information in these paths.
//! - Motion with dissipation: [`langevin`] has the tubes, [`onsager_machlup`] the action and its minimum between two ends, and
//!   [`transition`] the paths that reach the end.
//! - Imaginary time: [`bridges`] has the propagator and the probabilities of its paths; [`transfer`] computes path integrals
//!   by numerical matrix multiplication.

pub mod action;
pub mod bridges;
pub mod counting;
pub mod extrapolation;
pub mod langevin;
pub mod law;
pub mod least_action_path;
pub mod onsager_machlup;
pub mod path_entropy;
pub mod polynomial;
pub mod quadrature;
pub mod splitting;
pub mod systems;
pub mod transfer;
pub mod transition;
pub mod tridiagonal;
pub mod tube_integral;
pub mod tubes;
