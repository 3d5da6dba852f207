//! /etc/vz/download.conf: a file of shell assignments, as the original's script read it.

use std::collections::BTreeMap;

use vz_conf::file::ConfFile;

/// Where templates come from when the file does not say.
const PREFIX: &str = "http://download.openvz.org/template/precreated";

/// What the file says, else the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// UPDATE_TEMPLATE: fetch a newer one of what is there.
    pub update: bool,
    /// CHECK_TEMPLATE_SIG
    pub check_signature: bool,
    /// IGNORE_ERRORS
    pub ignore_errors: bool,
    /// QUIET
    pub quiet: bool,
    /// GPG_KEY: whose signature counts, in any form that gpg(1) knows keys by.
    pub key: String,
    /// TMPL_SUFFIXES: what may follow a template's name on a mirror.
    pub suffixes: Vec<String>,
    /// TMPL_REPO_PREFIX
    pub prefix: String,
    /// TEMPLATE_REPOS: mirrors and image servers, in the order in which they are asked.
    pub repositories: Vec<String>,
    /// The proxy of each scheme, and the hosts asked without one.
    pub proxies: BTreeMap<&'static str, String>,
}

/// Names of the environment, too: there they count before the file.
pub const PROXIES: [&str; 3] = ["http_proxy", "https_proxy", "no_proxy"];

impl Settings {
    /// Reads the file's text. Lines that are no assignments are passed over.
    pub fn parse(text: &[u8]) -> Settings {
        let mut values = BTreeMap::new();
        for entry in ConfFile::parse(text).entries().flatten() {
            let value = expand(&entry.text(), &values);
            let key = entry.key.trim().strip_prefix("export ").unwrap_or(entry.key.trim());
            values.insert(key.to_owned(), value);
        }
        let value = |key: &str| value(key, &values);
        let words = |key| value(key).split_whitespace().map(str::to_owned).collect();
        let proxy = |name: &'static str| Some((name, values.get(name)?.clone()));
        Settings {
            update: value("UPDATE_TEMPLATE") != "no",
            check_signature: value("CHECK_TEMPLATE_SIG") == "yes",
            ignore_errors: value("IGNORE_ERRORS") == "yes",
            quiet: value("QUIET") == "yes",
            key: value("GPG_KEY"),
            suffixes: words("TMPL_SUFFIXES"),
            prefix: value("TMPL_REPO_PREFIX"),
            repositories: words("TEMPLATE_REPOS"),
            proxies: PROXIES.into_iter().filter_map(proxy).collect(),
        }
    }
}

/// A variable's value, else its default. TEMPLATE_REPOS is TMPL_REPO_PREFIX also for what the file
/// adds to it: the shipped comment says so, and the script made a URL without a host of it.
fn value(key: &str, values: &BTreeMap<String, String>) -> String {
    if let Some(value) = values.get(key) {
        return value.clone();
    }
    match key {
        "TEMPLATE_REPOS" => value("TMPL_REPO_PREFIX", values),
        "TMPL_REPO_PREFIX" => PREFIX.into(),
        "TMPL_SUFFIXES" => "tar.gz".into(),
        "GPG_KEY" => "security@openvz.org".into(),
        _ => String::new(),
    }
}

/// Puts values in for `$NAME` and `${NAME}`.
fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut pieces = text.split('$');
    let mut expanded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, rest) = match piece.strip_prefix('{').and_then(|piece| piece.split_once('}')) {
            Some(parts) => parts,
            None => piece.split_at(piece.find(|c| !is_name(c)).unwrap_or(piece.len())),
        };
        expanded.push_str(&value(name, values));
        expanded.push_str(rest);
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let settings = Settings::parse(b"");
        assert!(settings.update && !settings.check_signature && !settings.quiet);
        assert_eq!(settings.repositories, [PREFIX]);
        assert_eq!(
            (settings.suffixes, settings.key.as_str()),
            (vec!["tar.gz".into()], "security@openvz.org")
        );
    }

    #[test]
    fn what_is_assigned_and_added() {
        let text = "#TMPL_REPO_PREFIX=no\nTMPL_REPO_PREFIX=\"http://m/t\"\n\
            TEMPLATE_REPOS=\"${TEMPLATE_REPOS} ${TMPL_REPO_PREFIX}/beta/\"\n\
            TEMPLATE_REPOS=\"$TEMPLATE_REPOS https://i/streams/v1/index.json\"\n\
            UPDATE_TEMPLATE=no\nexport http_proxy=http://p:3128\njunk\nQUIET=\"yes\"\n";
        let settings = Settings::parse(text.as_bytes());
        let wanted = ["http://m/t", "http://m/t/beta/", "https://i/streams/v1/index.json"];
        assert_eq!(settings.repositories, wanted);
        assert!(!settings.update && settings.quiet);
        assert_eq!(settings.proxies.get("http_proxy").map(String::as_str), Some("http://p:3128"));
    }

    #[test]
    fn any_text_is_expanded() {
        for text in ["$", "${", "${}", "$$x", "a${TMPL_SUFFIXES", "$é"] {
            expand(text, &BTreeMap::new());
        }
        assert_eq!(expand("a$TMPL_SUFFIXES-b", &BTreeMap::new()), "atar.gz-b");
    }
}
