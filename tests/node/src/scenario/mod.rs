//! Scenarios: what an admin types and what must be seen, in files of cram's form.
//!
//! - [`parse`]: the file; [`pattern`]: expected lines; [`compare`]: expected against seen
//! - [`feature`]: what a machine can; [`leak`]: what a scenario left behind
//! - [`run`]: one scenario on one machine; [`plan`]: all of them

pub mod compare;
pub mod feature;
pub mod leak;
pub mod parse;
pub mod pattern;
pub mod plan;
pub mod run;

pub use parse::Scenario;
