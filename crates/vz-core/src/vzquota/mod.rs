//! vzquota: the disk quota of any directory, by a number of its own, with a file that keeps its
//! limits (vzquota(8)).
//!
//! The kernel counts and limits by project quota, the quota's number being the project id: see
//! [`kernel`]. The file ([`file`]) is the original's to the byte, so that one from an old node is
//! taken over as it is; it is written anew beside the old one and renamed. What is said goes to a
//! [`crate::report::Report`]: warnings at level -1, information at 1, details at 2.

pub mod change;
pub mod command;
pub mod dump;
mod error;
pub mod file;
mod imitation;
pub mod kernel;
mod owners;
pub mod private_area;
mod scan;
mod second;
mod store;
pub mod table;
pub mod time;

pub use error::{Error, Result};
pub use imitation::Imitation;
pub use scan::{Count, count};
pub use store::{Place, QuotaStore};
