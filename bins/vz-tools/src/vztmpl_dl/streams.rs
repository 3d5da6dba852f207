//! Image servers that speak simplestreams: `streams/v1/index.json` names files of products, each
//! with its versions, each with its items. See the format `products:1.0` of
//! <https://canonical-simplestreams.readthedocs-hosted.com/>; images.linuxcontainers.org is one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http::{Client, Failure};
use super::names;

/// How an image server's URL ends.
const INDEX: &str = "streams/v1/index.json";
/// The largest index or file of products, in bytes; of those known the largest has 7 MiB.
const LARGEST: u64 = 64 << 20;
/// Items that are a root file system, the best first; each is also how the file's name ends.
const ITEMS: [&str; 3] = ["root.tar.xz", "root.tar.gz", "root.tar.zst"];

/// A template on an image server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What follows its name in the cache: `tar.xz`.
    pub suffix: &'static str,
    /// Where it is.
    pub url: String,
    /// In bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
}

/// The server's address, if the repository is an image server.
pub fn server(repository: &str) -> Option<&str> {
    repository.strip_suffix(INDEX)
}

/// All templates of a server, by name, of each the newest version.
///
/// # Errors
/// That of a request, or an answer that is none of the format.
pub fn images(client: &Client, server: &str) -> Result<BTreeMap<String, Image>, Failure> {
    let index: Index = get(client, &format!("{server}{INDEX}"))?;
    let mut found = BTreeMap::new();
    let files = index.index.into_values().filter(|file| file.datatype == "image-downloads");
    for file in files {
        let products: Products = get(client, &below(server, &file.path)?)?;
        for product in products.products.values() {
            if let Some((name, image)) = product.template(server)? {
                found.entry(name).or_insert(image);
            }
        }
    }
    Ok(found)
}

fn get<T: serde::de::DeserializeOwned>(client: &Client, url: &str) -> Result<T, Failure> {
    let text = client.text(url, LARGEST)?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::Refused(format!("Cannot read {url}: {error}")))
}

/// The URL of a path, which must not lead elsewhere.
fn below(server: &str, path: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:+/@%".contains(c);
    let is_step = |step: &str| step.is_empty() || step == "." || step == "..";
    if path.len() > 1024 || !path.chars().all(plain) || path.split('/').any(is_step) {
        return Err(Failure::Refused(format!(
            "{server} names a file in a way that is refused: {path:?}"
        )));
    }
    Ok(format!("{server}{path}"))
}

#[derive(Debug, Deserialize)]
struct Index {
    index: BTreeMap<String, ProductsFile>,
}

#[derive(Debug, Deserialize)]
struct ProductsFile {
    #[serde(default)]
    datatype: String,
    path: String,
}

#[derive(Debug, Deserialize)]
struct Products {
    products: BTreeMap<String, Product>,
}

#[derive(Debug, Deserialize)]
struct Product {
    #[serde(default)]
    os: String,
    #[serde(default)]
    release: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    versions: BTreeMap<String, Version>,
}

#[derive(Debug, Deserialize)]
struct Version {
    #[serde(default)]
    items: BTreeMap<String, Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    ftype: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    sha256: String,
}

impl Product {
    /// Its name here and its newest image, if it has a root file system as an archive. Versions are
    /// dates, which sort as texts.
    fn template(&self, server: &str) -> Result<Option<(String, Image)>, Failure> {
        let Some(name) = self.name() else { return Ok(None) };
        for version in self.versions.values().rev() {
            let of = |ftype: &'static str| {
                Some((ftype, version.items.values().find(|item| item.ftype == ftype)?))
            };
            let Some((ftype, item)) = ITEMS.into_iter().find_map(of) else { continue };
            let Some(digest) = names::digest(&item.sha256) else { continue };
            let suffix = ftype.strip_prefix("root.").unwrap_or(ftype);
            let url = below(server, &item.path)?;
            return Ok(Some((name, Image { suffix, url, size: item.size, digest })));
        }
        Ok(None)
    }

    /// As OpenVZ named templates: distribution, version, architecture, variant.
    fn name(&self) -> Option<String> {
        let arch = match self.arch.as_str() {
            "amd64" => "x86_64",
            "i386" | "i686" => "x86",
            "arm64" => "aarch64",
            other => other,
        };
        let mut name = format!("{}-{}-{arch}", self.os.to_lowercase(), self.release);
        if !["", "default"].contains(&self.variant.as_str()) {
            name = format!("{name}-{}", self.variant);
        }
        names::is_template(&name).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn product(text: &str) -> Product {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_newest_version_with_an_archive() {
        let digest = "ab".repeat(32);
        let item = |path: &str| {
            format!(r#"{{"ftype":"root.tar.xz","path":"{path}","size":5,"sha256":"{digest}"}}"#)
        };
        let text = format!(
            r#"{{"os":"Debian","release":"trixie","arch":"amd64","variant":"cloud","versions":{{
            "20260101":{{"items":{{"root.tar.xz":{}}}}},"20260103":{{"items":{{"x":{{"ftype":"squashfs"}}}}}},
            "20260102":{{"items":{{"a":{{}},"root.tar.xz":{}}}}}}}}}"#,
            item("old/r.tar.xz"),
            item("new/r.tar.xz"),
        );
        let (name, image) = product(&text).template("https://s/").unwrap().unwrap();
        assert_eq!(
            (name.as_str(), image.suffix, image.size),
            ("debian-trixie-x86_64-cloud", "tar.xz", 5)
        );
        assert_eq!((image.url.as_str(), image.digest), ("https://s/new/r.tar.xz", [0xab; 32]));
        // Nothing to check it by.
        let text = text.replace(&digest, "ab");
        assert_eq!(product(&text).template("https://s/").unwrap(), None);
    }

    #[test]
    fn hostile_answers() {
        for path in [
            "/etc/passwd",
            "../x",
            "a/../b",
            "file:///etc",
            "http://e/x",
            "a//b",
            "",
            "a?b",
            "a b",
            "a\\b",
        ] {
            assert!(below("https://s/", path).is_err(), "{path}");
        }
        assert_eq!(
            below("https://s/", "images/a:b/20260101_07%3A42/r.tar.xz").unwrap(),
            "https://s/images/a:b/20260101_07%3A42/r.tar.xz"
        );
        for os in ["../..", "a/b", ".a", "-a", "a\\nb", ""] {
            let product = product(&format!(r#"{{"os":"{os}","release":"1","arch":"amd64"}}"#));
            assert_eq!(product.name(), None, "{os}");
        }
        let deep = "[".repeat(100_000);
        assert!(serde_json::from_str::<Index>(&deep).is_err());
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9]{1,8}",
            "([a-z0-9.%:]{0,3}/){0,3}[a-z0-9.]{1,5}",
            "[-./%:?\\\\ a-z\\PC]{0,9}",
        ]
    }

    fn item() -> impl Strategy<Value = serde_json::Value> {
        let kinds: Vec<String> = ITEMS.iter().map(|item| (*item).to_owned()).collect();
        let kind = prop_oneof![3 => proptest::sample::select(kinds), 1 => word()];
        let digest = prop_oneof![3 => "[0-9a-f]{64}", 1 => word()];
        (kind, word(), digest, any::<u64>()).prop_map(|(ftype, path, sha256, size)| {
            serde_json::json!({"ftype": ftype, "path": path, "sha256": sha256, "size": size})
        })
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_stays_below_it(
            names in [word(), word(), word(), word()],
            items in proptest::collection::vec(item(), 0..3),
        ) {
            let [os, release, arch, variant] = names;
            let items: BTreeMap<_, _> =
                items.into_iter().enumerate().map(|(nth, item)| (nth.to_string(), item)).collect();
            let text = serde_json::json!({
                "os": os, "release": release, "arch": arch, "variant": variant,
                "versions": {"20260101": {"items": items}},
            });
            if let Ok(Some((name, image))) = product(&text.to_string()).template("https://s/") {
                prop_assert!(!name.starts_with(['.', '-']) && !name.contains(['/', '\0', '\n']));
                let path = image.url.strip_prefix("https://s/").unwrap_or("..");
                prop_assert!(path.split('/').all(|step| !["", ".", ".."].contains(&step)), "{path}");
                prop_assert!(!path.contains(['?', '#', '\\', ' ']), "{path}");
            }
        }

        #[test]
        fn any_bytes_are_an_answer_or_none(bytes: Vec<u8>, cut in 0_usize..200) {
            let good = br#"{"products":{"a":{"os":"b","versions":{"1":{"items":{"c":{"size":7}}}}}}}"#;
            let at = cut.min(good.len());
            let mut text = good[..at].to_vec();
            text.extend(bytes);
            text.extend(&good[at..]);
            if let Ok(products) = serde_json::from_slice::<Products>(&text) {
                for product in products.products.values() {
                    let _ = product.template("https://s/");
                }
            }
        }
    }
}
