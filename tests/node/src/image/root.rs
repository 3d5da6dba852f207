//! The root disk: Debian's packages and our few files, as an ext4 image.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{modules, sources};
use crate::{
    Error, Result,
    cache::{self, Cache, Key},
    project::Project,
    tool,
};

/// Packages of the node, with what they depend on.
const PACKAGES: &[&str] = &[
    "acl",
    "attr",
    "bzip2",
    "ca-certificates",
    "criu",
    "crun",
    "dbus",
    "e2fsprogs",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "libcap2-bin",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    "lxc",
    "lxcfs",
    "nftables",
    "openssh-client",
    "openssh-server",
    "procps",
    "psmisc",
    "quota",
    "rsync",
    "strace",
    "systemd-sysv",
    "xfsprogs",
    "xz-utils",
    "zstd",
];

/// Units that would change the node behind a scenario's back, or own what is ours: quotas are
/// on from the mount, containers are ours alone.
const MASKED: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "lxc-monitord.service",
    "lxc-net.service",
    "lxc.service",
    "quota.service",
    "quotaon-root.service",
    "quotaon.service",
    "quotaon@.service",
    "serial-getty@ttyS0.service",
    "systemd-quotacheck-root.service",
    "systemd-quotacheck.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
];

/// Left out of the packages: nobody reads it on the node.
const EXCLUDED: &[&str] =
    &["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*"];

const ROOT_SIZE: &str = "4G";
const DATA_SIZE: &str = "8G";

/// The files a node is booted from.
#[derive(Debug, Clone)]
pub struct Image {
    directory: PathBuf,
    key: String,
}

impl Image {
    /// The image of this project's recipe, built where it is not in the cache.
    ///
    /// # Errors
    /// Packages cannot be fetched, a tool is missing or fails.
    pub fn get(project: &Project, cache: &Cache) -> Result<Self> {
        let files = project.root().join("tests/node/rootfs");
        let mut key = Key::default();
        key.add(include_str!("root.rs")).add(include_str!("modules.rs")).add_path(&files)?;
        let directory = cache.get("image", &key, |part| build(&files, part))?;
        Ok(Self { directory, key: key.finish() })
    }

    /// Identifies what the image was made of.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// Modules for the initramfs.
    pub fn modules(&self) -> PathBuf {
        self.directory.join("modules")
    }

    /// The disks by name: `root`, and `data` for `/var/lib/vz`. Raw, never written to.
    pub fn disks(&self) -> [(&'static str, PathBuf); 2] {
        ["root", "data"].map(|name| (name, self.directory.join(format!("{name}.ext4"))))
    }
}

fn build(files: &Path, part: &Path) -> Result<()> {
    let tree = part.join("tree");
    bootstrap(&tree)?;
    add_files(files, &tree)?;
    mask_units(&tree)?;
    let release = modules::release(&tree)?;
    modules::copy(&tree, &release, &part.join("modules"))?;
    let kernel = tree.join("boot").join(format!("vmlinuz-{release}"));
    fs::copy(&kernel, part.join("vmlinuz")).map_err(Error::file("copy", &kernel))?;
    make_disk(&part.join("root.ext4"), ROOT_SIZE, Some(&tree))?;
    make_disk(&part.join("data.ext4"), DATA_SIZE, None)?;
    cache::remove(&tree)
}

fn bootstrap(tree: &Path) -> Result<()> {
    let sources = sources::of_this_machine()?;
    let mut command = tool::command(&["mmdebstrap", "--variant=essential", "--format=directory"]);
    command.arg(format!("--include={}", PACKAGES.join(",")));
    for option in &sources.options {
        command.arg(format!("--aptopt={}", option.trim_end_matches(';')));
    }
    for path in EXCLUDED {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    // A network that hiccups once must not cost the whole build.
    command.arg("--aptopt=Acquire::Retries \"3\"");
    command.arg(sources::SUITE).arg(tree).args(&sources.lines);
    // Maintainer scripts must not see the caller's locale, nor his home.
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    command.env("LC_ALL", "C.UTF-8").env("PATH", path);
    tool::run(&mut command).map(drop)
}

/// Without `--preserve` the files belong to root, whoever checked them out, and directories of
/// the tree keep their modes.
fn add_files(files: &Path, tree: &Path) -> Result<()> {
    tool::run(tool::command(&["cp", "-dR", "--"]).arg(files.join(".")).arg(tree)).map(drop)
}

fn mask_units(tree: &Path) -> Result<()> {
    for unit in MASKED {
        let link = tree.join("etc/systemd/system").join(unit);
        // The package may have enabled it here already.
        let _ = fs::remove_file(&link);
        symlink("/dev/null", &link).map_err(Error::file("link", &link))?;
    }
    Ok(())
}

/// Makes an ext4 image with project quota. Inode tables are zeroed now (a hole in a sparse file)
/// so that no kernel thread does it while a scenario measures.
fn make_disk(disk: &Path, size: &str, content: Option<&Path>) -> Result<()> {
    let mut command = tool::command(&["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-I", "256"]);
    command.args(["-O", "quota,project", "-J", "size=32", "-i", "16384", "-E"]);
    command.arg("quotatype=usrquota:grpquota:prjquota,lazy_itable_init=0,root_owner=0:0");
    if let Some(tree) = content {
        command.arg("-d").arg(tree);
    }
    tool::run(command.arg(disk).arg(size)).map(drop)
}
