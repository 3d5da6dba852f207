//! vztmpl-dl: fetches OS templates into TEMPLATE/cache, from mirrors as OpenVZ's and from image
//! servers that speak simplestreams.

mod cache;
mod fetch;
mod http;
mod names;
mod progress;
mod settings;
mod signature;
mod streams;

use std::collections::BTreeSet;
use std::path::Path;

use crate::console::{err, err_text, out};
use crate::place::Place;
use cache::Cache;
use fetch::{Fetched, Wanted};
use http::{Client, Failure};
use settings::{PROXIES, Settings};
use signature::Ability;

pub const USAGE: &str = "\
Usage:
  vztmpl-dl [option ...] <template> [<template> ...]
  vztmpl-dl [option ...] --update-all
  vztmpl-dl --list-remote | --list-local | --list-all | --list-orphans
  vztmpl-dl --config | --help
Options:
  --gpg-check           Check signatures of downloaded files
  --no-gpg-check        Do not check signatures
  --ignore-errors       Go on when a template cannot be downloaded
  --update              Download what is newer than the template that is there
  --no-update           Leave a template that is there as it is
  --quiet               Say nothing but errors
  --no-quiet            Say what is going on
  --update-all          Update all templates that are there
  --list-remote         List the templates that can be downloaded
  --list-local          List the templates that are there
  --list-all            List both
  --list-orphans        List those that are there and can not be downloaded
  --config              Show the configuration
  --help                Show this text
Arguments:
  <template>            An OS template's name (such as centos-6-x86_64)
";

/// Where a distribution keeps the authorities that it trusts: Debian's place, and Fedora's.
const AUTHORITIES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/// The largest list of templates, signature or file of checksums, in bytes.
const LARGEST_TEXT: u64 = 1 << 20;

/// The exit codes.
const FAILED: u8 = 1;
const PRESENT: u8 = 2;
const MISUSED: u8 = 3;
const BAD_SIGNATURE: u8 = 5;

/// One run of the tool.
struct Tool {
    place: Place,
    cache: Cache,
    client: Client,
    settings: Settings,
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    // Also where there is no node yet.
    if words.first().is_some_and(|word| word == "--help") {
        err_text(USAGE);
        return 0;
    }
    let mut tool = match Tool::new() {
        Ok(tool) => tool,
        Err(line) => {
            err(&format!("vztmpl-dl ERROR: {line}"));
            return FAILED;
        }
    };
    let mut all = None;
    let mut rest = words;
    while let [word, others @ ..] = rest
        && word.starts_with('-')
    {
        rest = others;
        if word == "--update-all" {
            (tool.settings.update, tool.settings.ignore_errors) = (true, true);
            all = Some(tool.cache.templates());
        } else if let Some(code) = tool.option(word) {
            return code;
        }
    }
    match all.filter(|all| !all.is_empty()) {
        Some(_) if rest.len() > 1 => misused("too many arguments"),
        Some(all) => tool.download_each(&all),
        None if rest.is_empty() => misused("no arguments"),
        None => tool.download_each(rest),
    }
}

fn misused(what: &str) -> u8 {
    err(&format!("vztmpl-dl ERROR: {what}"));
    err_text(USAGE);
    MISUSED
}

impl Tool {
    fn new() -> Result<Tool, String> {
        // Before the first name is looked up; without it names may be found all the same.
        let _ = vz_sys::host_names::use_built_in_services();
        let mut place = Place::of_environment();
        place.node.read_config().map_err(|error| error.to_string())?;
        let directory = place.node.template_dir().map_err(|error| error.to_string())?;
        let text = std::fs::read(place.node.path("/etc/vz/download.conf")).unwrap_or_default();
        let mut settings = Settings::parse(&text);
        for name in PROXIES {
            let upper = name.to_uppercase();
            let given = std::env::var(name).or_else(|_| std::env::var(upper));
            settings.proxies.extend(given.ok().map(|value| (name, value)));
        }
        let authorities = std::env::var_os("SSL_CERT_FILE").map(Into::into);
        let usual = || AUTHORITIES.into_iter().map(Path::new).find(|path| path.exists());
        let authorities =
            authorities.unwrap_or_else(|| usual().unwrap_or(Path::new(AUTHORITIES[0])).into());
        let client = Client::new(settings.proxies.clone(), authorities);
        Ok(Tool { cache: Cache { directory: directory.join("cache") }, place, client, settings })
    }

    /// Takes an option; the exit code of one that does something by itself.
    fn option(&mut self, word: &str) -> Option<u8> {
        let settings = &mut self.settings;
        match word {
            "--gpg-check" => settings.check_signature = true,
            "--no-gpg-check" => settings.check_signature = false,
            "--ignore-errors" => settings.ignore_errors = true,
            "--update" => settings.update = true,
            "--no-update" => settings.update = false,
            "--quiet" => settings.quiet = true,
            "--no-quiet" => settings.quiet = false,
            "--config" => return Some(self.show_config()),
            "--list-all" => return Some(self.list_all()),
            "--list-remote" => return Some(self.list_remote()),
            "--list-local" => {
                self.cache.templates().iter().for_each(|name| out(&format!("{name}\n")));
                return Some(0);
            }
            "--list-orphans" => return Some(self.list_orphans()),
            "--help" => {
                err_text(USAGE);
                return Some(0);
            }
            _ => return Some(misused(&format!("unknown option: {word}"))),
        }
        None
    }

    fn show_config(&mut self) -> u8 {
        self.signatures_can_be_checked();
        let Settings { key, prefix, suffixes, .. } = &self.settings;
        let said = |flag| if flag { "yes" } else { "no" };
        let (update, check) = (said(self.settings.update), said(self.settings.check_signature));
        out(&format!(
            "Current vztmpl-dl configuration is below. Defaults are built-in and can be\n\
             overwritten by setting an appropriate variables in /etc/vz/download.conf\n\n\
             * Try to update template files ($UPDATE_TEMPLATE): {update}\n\
             * Check template signatures ($CHECK_TEMPLATE_SIG): {check}\n\
             * GPG public key name to check ($GPG_KEY):         {key}\n\
             * List of template suffixes ($TMPL_SUFFIXES):      {}\n\
             * Prefix to template cache repository URL ($TMPL_REPO_PREFIX):\n  {prefix}\n\
             * List of template URLs to try ($TEMPLATE_REPOS):\n",
            suffixes.join(" ")
        ));
        self.settings.repositories.iter().for_each(|url| out(&format!("  {url}\n")));
        0
    }

    /// Says what is missing where signatures are to be checked.
    fn signatures_can_be_checked(&self) -> bool {
        let key = &self.settings.key;
        let ability =
            if self.settings.check_signature { signature::ability(key) } else { Ability::Checks };
        match ability {
            Ability::Checks => return true,
            Ability::NoProgram => {
                err("vztmpl-dl WARNING: gpg binary not found, signatures cannot be checked")
            }
            Ability::NoKey => err(&format!(
                "\nvztmpl-dl WARNING: no public gpg key {key} found,\nsignatures cannot be checked. \
                 To import the public key, see\n\
                 http://wiki.openvz.org/Package_signatures#Importing_the_public_key\n"
            )),
        }
        false
    }

    /// The templates of all repositories; what cannot be asked is told.
    fn remote(&self) -> (Vec<String>, bool) {
        let mut names = Vec::new();
        let mut complete = true;
        for repository in &self.settings.repositories {
            match self.templates_of(repository) {
                Ok(found) => names.extend(found),
                Err(Failure::NotThere(_)) => {}
                Err(error) => {
                    err(&format!("vztmpl-dl WARNING: {error}"));
                    complete = false;
                }
            }
        }
        (names, complete)
    }

    fn templates_of(&self, repository: &str) -> Result<Vec<String>, Failure> {
        if let Some(server) = streams::server(repository) {
            return Ok(streams::images(&self.client, server)?.into_keys().collect());
        }
        let text = self.client.text(&format!("{repository}/.listing"), LARGEST_TEXT)?;
        let lines = String::from_utf8_lossy(&text).into_owned();
        // Other texts could do anything to a terminal.
        Ok(lines.lines().filter(|line| names::is_template(line)).map(str::to_owned).collect())
    }

    fn list_remote(&self) -> u8 {
        let (names, complete) = self.remote();
        names.iter().for_each(|name| out(&format!("{name}\n")));
        if complete { 0 } else { FAILED }
    }

    fn list_all(&self) -> u8 {
        let (names, complete) = self.remote();
        let all: BTreeSet<String> = names.into_iter().chain(self.cache.templates()).collect();
        all.iter().for_each(|name| out(&format!("{name}\n")));
        if complete { 0 } else { FAILED }
    }

    /// Nothing when a repository cannot be asked: who removes what is listed would remove what it has.
    fn list_orphans(&self) -> u8 {
        let (names, complete) = self.remote();
        if !complete {
            return FAILED;
        }
        let local: BTreeSet<String> = self.cache.templates().into_iter().collect();
        let orphans = local.iter().filter(|name| !names.contains(name));
        orphans.for_each(|name| out(&format!("{name}\n")));
        0
    }

    fn download_each(&self, templates: &[String]) -> u8 {
        if !self.signatures_can_be_checked() {
            return BAD_SIGNATURE;
        }
        let mut failed = Vec::new();
        for template in templates {
            match self.download(template) {
                0 => {}
                _ if self.settings.ignore_errors => failed.push(template),
                code => return code,
            }
        }
        if !failed.is_empty() {
            out("WARNING: the following templates were not found remotely and can't be updated:\n");
            failed.iter().for_each(|name| err(&format!("  {name}")));
        }
        0
    }

    /// Fetches a template from the first repository that has it.
    fn download(&self, template: &str) -> u8 {
        if names::is_template(template) {
            if let Some(code) = self.refuse_present(template) {
                return code;
            }
            for repository in &self.settings.repositories {
                if let Some(code) = self.download_from(repository, template) {
                    return code;
                }
            }
        }
        err(&format!("vztmpl-dl ERROR: template {template} not found!"));
        FAILED
    }

    fn refuse_present(&self, template: &str) -> Option<u8> {
        let path = self.cache.file_of(template).filter(|_| !self.settings.update)?;
        let shown = self.place.node.shown(&path);
        err(&format!("vztmpl-dl ERROR: file {} is present, not updating.", shown.display()));
        Some(PRESENT)
    }

    /// The exit code, or nothing when it is not there.
    fn download_from(&self, repository: &str, template: &str) -> Option<u8> {
        let Some(server) = streams::server(repository) else {
            let mut urls = self
                .settings
                .suffixes
                .iter()
                .map(|suffix| (suffix, format!("{repository}/{template}.{suffix}")));
            return urls.find_map(|(suffix, url)| self.download_file(template, suffix, &url, None));
        };
        let image = match streams::images(&self.client, server) {
            Ok(mut images) => images.remove(template)?,
            Err(error) => {
                err(&format!("vztmpl-dl WARNING: {error}"));
                return None;
            }
        };
        self.download_file(template, image.suffix, &image.url, Some(&image))
    }

    fn download_file(
        &self,
        template: &str,
        suffix: &str,
        url: &str,
        image: Option<&streams::Image>,
    ) -> Option<u8> {
        let path = self.cache.directory.join(format!("{template}.{suffix}"));
        let part = path.with_file_name(format!("{template}.{suffix}.part"));
        let length = || std::fs::metadata(&part).map_or(0, |metadata| metadata.len());
        let before = length();
        match self.fetch(url, &path, image) {
            Ok(fetched) => {
                self.tell(fetched, &path);
                self.remove_others(fetched, template, &path);
                Some(0)
            }
            Err(Stopped::Download(Failure::NotThere(_))) => None,
            Err(Stopped::Signature(why)) => {
                why.lines().for_each(err);
                err("vztmpl-dl ERROR: signature check failed!");
                Some(BAD_SIGNATURE)
            }
            // The next repository may have it, if this one cannot even be asked.
            Err(Stopped::Download(error)) => {
                // A part that an earlier command has left says nothing of that.
                let unreachable = matches!(error, Failure::Broken { .. }) && length() <= before;
                err(&format!(
                    "vztmpl-dl {}: {error}",
                    if unreachable { "WARNING" } else { "ERROR" }
                ));
                if unreachable {
                    return None;
                }
                err(&format!("vztmpl-dl ERROR: failed to download {url}!"));
                Some(FAILED)
            }
        }
    }

    fn fetch(
        &self,
        url: &str,
        path: &Path,
        image: Option<&streams::Image>,
    ) -> Result<Fetched, Stopped> {
        self.cache.make(&self.place.node)?;
        let wanted = Wanted {
            url,
            path,
            size: image.map(|image| image.size).filter(|size| *size > 0),
            digest: image.map(|image| image.digest),
        };
        let mut bar = progress::Bar::new(self.settings.quiet);
        let mut rejected = false;
        let fetched = fetch::fetch(&self.client, &wanted, &mut bar, &mut |part| {
            if image.is_none()
                && let Some(digest) = self.sums(url)?
            {
                fetch::check_digest(part, url, digest)?;
            }
            let checked = self.check_signature(url, part);
            rejected = checked.is_err();
            checked
        });
        drop(bar);
        fetched.map_err(|error| match rejected {
            true => Stopped::Signature(error.to_string()),
            false => Stopped::Download(error),
        })
    }

    /// What the mirror's SHA256SUMS, if it has one, says of the file.
    fn sums(&self, url: &str) -> Result<Option<[u8; 32]>, Failure> {
        let (directory, file) = url.rsplit_once('/').unwrap_or_default();
        let sums = self.client.text_if_there(&format!("{directory}/SHA256SUMS"), LARGEST_TEXT)?;
        Ok(sums.and_then(|sums| names::digest_in_sums(&String::from_utf8_lossy(&sums), file)))
    }

    fn check_signature(&self, url: &str, part: &Path) -> Result<(), Failure> {
        if !self.settings.check_signature {
            return Ok(());
        }
        self.say("Checking template signature...");
        let signature = self.client.text(&format!("{url}.asc"), LARGEST_TEXT)?;
        signature::check(&signature, part, &self.settings.key)?;
        self.say("Signature check passed.");
        Ok(())
    }

    /// Removes older archives of the template, which are compressed in another way: one of them could
    /// be found before the new one.
    fn remove_others(&self, fetched: Fetched, template: &str, path: &Path) {
        let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
        let ours = modified(path);
        for other in self.cache.files_of(template).into_iter().filter(|other| other != path) {
            if fetched == Fetched::Same && modified(&other) >= ours {
                continue;
            }
            let shown = self.place.node.shown(&other);
            match std::fs::remove_file(&other) {
                Ok(()) => self.say(&format!("{} removed", shown.display())),
                Err(error) => {
                    err(&format!("vztmpl-dl WARNING: Cannot remove {}: {error}", shown.display()));
                }
            }
        }
    }

    fn tell(&self, fetched: Fetched, path: &Path) {
        let shown = self.place.node.shown(path);
        self.say(&match fetched {
            Fetched::New => format!("{} saved", shown.display()),
            Fetched::Same => format!("{} is up to date", shown.display()),
        });
    }

    fn say(&self, line: &str) {
        if !self.settings.quiet {
            out(&format!("{line}\n"));
        }
    }
}

/// Why a file was not fetched.
enum Stopped {
    Download(Failure),
    Signature(String),
}

impl From<Failure> for Stopped {
    fn from(error: Failure) -> Stopped {
        Stopped::Download(error)
    }
}
