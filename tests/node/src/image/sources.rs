//! Where the node's packages come from: this machine's own apt sources, for the node's release.

use std::collections::BTreeSet;

use crate::{Result, tool};

/// The node's Debian release.
pub const SUITE: &str = "trixie";

/// How apt is asked for its sources: apt-get(8), `indextargets`.
const FORMAT: &str = "$(ORIGIN)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)";

/// Sources and settings for mmdebstrap(1).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Lines as in sources.list(5). None where this machine has no Debian sources:
    /// mmdebstrap knows Debian's own.
    pub lines: Vec<String>,
    /// apt.conf(5) settings about fetching.
    pub options: Vec<String>,
}

/// Asks this machine's apt. A machine that has no apt gets mmdebstrap's defaults.
///
/// # Errors
/// apt is there and fails.
pub fn of_this_machine() -> Result<Sources> {
    let release = tool::run(&mut tool::command(&["cat", "/etc/os-release"]))?;
    let Some(codename) = codename(&String::from_utf8_lossy(&release)).map(str::to_string) else {
        return Ok(Sources::default());
    };
    let targets = ["apt-get", "indextargets", "--format", FORMAT, "Created-By: Packages"];
    let targets = tool::run(&mut tool::command(&targets))?;
    let settings = tool::run(&mut tool::command(&["apt-config", "dump", "Acquire"]))?;
    Ok(Sources {
        lines: lines(&String::from_utf8_lossy(&targets), &codename),
        options: options(&String::from_utf8_lossy(&settings)),
    })
}

fn codename(os_release: &str) -> Option<&str> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"')).filter(|name| !name.is_empty())
}

/// Debian's sources of this machine's release, with the release replaced.
fn lines(targets: &str, codename: &str) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for target in targets.lines() {
        let fields: Vec<_> = target.split('\t').collect();
        let ["Debian", uri, release, "main"] = &*fields else { continue };
        // bookworm, bookworm-updates, bookworm-security; backports are not what a node runs.
        if let Some(pocket @ ("" | "-updates" | "-security")) = release.strip_prefix(codename) {
            lines.insert(format!("deb {uri} {SUITE}{pocket} main"));
        }
    }
    lines.into_iter().collect()
}

/// How this machine fetches: proxies, certificates, dates that are not checked.
fn options(settings: &str) -> Vec<String> {
    let fetching = ["Acquire::http", "Acquire::Check-", "Acquire::Retries"];
    let wanted = |line: &&str| {
        fetching.iter().any(|prefix| line.starts_with(prefix)) && !line.ends_with(" \"\";")
    };
    settings.lines().filter(wanted).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_replaced_in_debian_sources_only() {
        let targets = "Debian\thttp://a.example/debian/\tbookworm\tmain\n\
                       Debian\thttp://a.example/debian/\tbookworm\tcontrib\n\
                       Debian\thttp://a.example/debian/\tbookworm-backports\tmain\n\
                       Debian\thttp://b.example/sec/\tbookworm-security\tmain\n\
                       Other\thttp://c.example/\tbookworm\tmain\n\
                       torn";
        assert_eq!(
            lines(targets, "bookworm"),
            [
                "deb http://a.example/debian/ trixie main",
                "deb http://b.example/sec/ trixie-security main"
            ]
        );
    }

    #[test]
    fn settings_about_fetching_are_taken_over() {
        let settings = "Acquire \"\";\nAcquire::http::Proxy \"http://p:3128\";\nAcquire::http \"\";\n\
                        Acquire::Check-Date \"false\";\nAcquire::Languages \"none\";\n";
        assert_eq!(
            options(settings),
            ["Acquire::http::Proxy \"http://p:3128\";", "Acquire::Check-Date \"false\";"]
        );
    }

    #[test]
    fn a_release_without_codename_has_no_sources_of_ours() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=\"bookworm\"\n"), Some("bookworm"));
        assert_eq!(codename("ID=arch\n"), None);
    }
}
