//! A container's life: each file one act, reading top to bottom as the list of its steps.

pub mod checkpoint;
pub mod console;
pub mod convert;
pub mod convert_image;
pub mod create;
pub mod destroy;
pub mod dump;
pub mod enter;
pub mod event;
pub mod exec;
pub mod image;
pub mod mounting;
pub mod quota;
mod relay;
pub mod restore;
pub mod script;
pub mod set;
pub mod snapshot;
pub mod start;
pub mod stop;
pub mod teardown;
pub mod temporary;
pub mod vzmon;
