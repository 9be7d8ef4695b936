//! The sweep of an experiment: the points that it stands for.
//!
//! ```yaml
//! sweep:
//!   grid: {tubes: {from: 40, to: 60, steps: 3}, seed: [1, 2, 3]}       # every combination, the last one fastest
//!   zip: {width: [16, 32], depth: [2, 4]}                              # the first values, then the second ones
//!   list: [{tubes: 40, seed: 1}, {tubes: 60, seed: 2}]
//!   random: {points: 20, seed: 7, params: {lr: {log-uniform: [1e-4, 1e-1]}, width: {choice: [16, 32]}}}
//!   latin-hypercube: {points: 20, params: {…}}
//!   sobol: {points: 32, params: {…}}
//!   search: {ask: python3 ask.py, points: 30, metric: loss, goal: minimize, params: {…}}
//! ```
//! Together they multiply: every grid point at every draw at every listed point ([`read`]). So a grid over seeds runs every draw
//! with every seed. [`axes`] are written down, [`draws`] come from a [`distribution`], a [`search`] asks a command for points.
//!
//! A draw is a function of (seed of the sweep, the parameter's name, the draw's number): a further parameter changes no other, and
//! more points leave the first ones as they are, but for a Latin hypercube, whose parts become narrower.

pub mod axes;
pub mod distribution;
pub mod draws;
pub mod read;
pub mod search;
pub mod setting;
