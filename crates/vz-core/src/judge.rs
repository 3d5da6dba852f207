//! What a node can carry, and what is asked of it: the formulas behind `vzmemcheck`, `vzcalc`,
//! `vzcpucheck`, `vzoversell`, `vzcfgvalidate`, `vzsplit` and `vzcfgscale`.
//!
//! Numbers come in, numbers and findings go out; only [`capacity`] reads files. The formulas and
//! constants are those of vzctl 4.11.1. Where they read what a stock kernel lacks, the module of
//! the formula says what stands in for it, and why that keeps the number's meaning.

pub mod capacity;
pub mod commitment;
pub mod oversell;
pub mod power;
pub mod scale;
pub mod split;
pub mod validate;
