//! vzviews: serves what the OpenVZ kernel showed under `/proc`, and keeps lxcfs's files in place.
//!
//! `vzviews node` serves the node's `/dev/vz`, for as long as it is mounted. `vzviews lxcfs` puts
//! lxcfs's files in place in all containers that run, or takes dead ones away; with `--wait` it
//! waits first until lxcfs is there. `vzviews CTID DESCRIPTOR` is started by a container's vzmon, with
//! the connection of its file system, and ends when nobody asks any more: see
//! [`vz_core::views`]. `vzviews quota CTID LISTENER LINE` is started by `vzctl start` and answers for the
//! quotas of a container's users: see [`vz_core::user_quota`].
//!
//! `VZ_SYSROOT=DIR` puts every path of the node below DIR.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use vz_conf::ctid::Ctid;
use vz_core::error::Error;
use vz_core::node::Node;
use vz_core::report::Report;
use vz_core::user_quota;
use vz_core::views::{self, lxcfs};
use vz_sys::channel::{Channel, Listener};
use vz_sys::clone;
use vz_sys::fuse::Connection;

/// How to use it.
const USAGE: &str = "Usage: vzviews node | lxcfs [--wait]";

/// What cannot be done is said where a unit's messages go.
struct Stderr;

impl Report for Stderr {
    fn log(&mut self, level: i32, text: &str) {
        if level < 0 {
            eprintln!("vzviews: {text}");
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let prefix = std::env::var_os("VZ_SYSROOT").filter(|value| !value.is_empty());
    let mut node = Node::without_config(prefix.map(PathBuf::from));
    // Private areas may be set there alone; a node without it has no quotas to show.
    let _ = node.read_config();
    match run(&node, &words) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("vzviews: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

/// `None` for words that mean nothing.
fn run(node: &Node, words: &[&str]) -> Option<Result<(), Error>> {
    match words {
        ["node"] => Some(views::serve_node(node)),
        ["lxcfs"] => {
            lxcfs::place_everywhere(node, &mut Stderr);
            Some(Ok(()))
        }
        ["lxcfs", "--wait"] => {
            lxcfs::wait(node);
            lxcfs::place_everywhere(node, &mut Stderr);
            Some(Ok(()))
        }
        ["quota", id, listener, first] => {
            let inherit = |number: &str| clone::inherit(number.parse().ok()?).ok();
            let id: Ctid = id.parse().ok()?;
            let (listener, first) = (inherit(listener)?, inherit(first)?);
            let listener = Listener::from_descriptor(listener);
            Some(user_quota::serve(node, id, listener, Channel::from_descriptor(first)))
        }
        [id, descriptor] => {
            // Not what vzmon has.
            let _ = vz_sys::proc::set_out_of_memory_score(None, 0);
            let id: Ctid = id.parse().ok()?;
            let device = clone::inherit(descriptor.parse().ok()?).ok()?;
            Some(views::serve_container(node, id, &Connection::from_descriptor(device)))
        }
        _ => None,
    }
}
