//! The layouts beside each other and beside the copy that a conversion is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cases::Amount;
use crate::measure::{self, Samples, alternate};
use crate::ours::Node;
use crate::table::Row;

const SMALL: &str = "busybox-x86_64";
const LARGE: &str = "debian-12-x86_64";

/// Creating, starting and converting by layout.
///
/// # Errors
/// The first error of any command.
pub fn disks(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    let mut rows = vec![create(node, amount)?, start(node, amount)?];
    rows.extend(convert(node, amount)?);
    Ok(rows)
}

/// A container over a template that is unpacked already.
fn create(node: &Node, amount: Amount) -> Result<Row> {
    const ID: u32 = 451;
    const LIMIT: f64 = 20.0;
    let mut taken = Samples::default();
    for run in 0..=amount.runs {
        let one = node.create_as(ID, LARGE, "overlay")?;
        node.destroy(ID)?;
        // The first unpacks the template.
        if run > 0 {
            taken.push(one);
        }
    }
    let what = "create --layout overlay, Debian, template unpacked";
    Ok(Row::of_samples(what.to_owned(), &taken, LIMIT))
}

fn start(node: &Node, amount: Amount) -> Result<Row> {
    const IDS: [(u32, &str); 2] = [(452, "overlay"), (453, "simfs")];
    for (id, layout) in IDS {
        node.create_as(id, SMALL, layout)?;
    }
    let turn = |id: u32| -> Result<Duration> {
        let started = node.vzctl(&format!("start {id}"))?;
        node.vzctl(&format!("stop {id} --fast"))?;
        Ok(started)
    };
    let pairs = alternate(amount.runs, || turn(IDS[0].0), || turn(IDS[1].0))?;
    for (id, _) in IDS {
        node.destroy(id)?;
    }
    Ok(Row::of_pairs("start, layout overlay : layout simfs", &pairs, Some(1.1)))
}

/// The peer's is a copy of the same tree, made safe as a conversion's is.
fn convert(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    const ID: u32 = 454;
    let tree = node.path(&format!("var/lib/vz/private/{ID}"));
    let copy = node.beside("copy");
    let mut rows = Vec::new();
    for layout in ["ploop", "overlay"] {
        node.create_as(ID, LARGE, "simfs")?;
        let pairs = alternate(
            amount.long_runs,
            || {
                let taken = node.vzctl(&format!("convert {ID} --layout {layout}"))?;
                node.vzctl(&format!("convert {ID} --layout simfs"))?;
                Ok(taken)
            },
            || {
                let taken = measure::run(copy_of(&tree, &copy))?;
                remove_tree(&copy)?;
                Ok(taken)
            },
        )?;
        node.destroy(ID)?;
        rows.push(Row::of_pairs(
            &format!("convert simfs to {layout}, Debian : cp -a, sync"),
            &pairs,
            Some(1.3),
        ));
    }
    Ok(rows)
}

fn copy_of(from: &Path, to: &Path) -> std::process::Command {
    let words = ["-c", "cp -a \"$0\" \"$1\" && sync -f \"$1\""].map(std::ffi::OsString::from);
    let places = [from.as_os_str().to_owned(), to.as_os_str().to_owned()];
    measure::command("/bin/sh".as_ref(), words.into_iter().chain(places))
}

#[expect(clippy::disallowed_methods, reason = "a tree of our own, below a temporary directory")]
fn remove_tree(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).with_context(|| format!("Cannot remove {}", path.display()))
}
