//! A list as JSON, laid out as the original laid it out, and valid whatever the values are.

use vz_conf::yesno::YesNo;
use vz_core::listing::Listed;

use crate::field::{DiskResource, Field, What};
use crate::text;

/// The containers, an object each.
pub fn render(list: &[Listed], fields: &[&Field]) -> String {
    let containers: Vec<String> = list
        .iter()
        .map(|listed| {
            let members = fields.iter().map(|field| (field.name, value(field, listed)));
            format!("\n  {}", object(members, 2))
        })
        .collect();
    format!("[{}\n]\n", containers.join(","))
}

/// An object over several lines, whose closing brace is indented so far.
fn object<'n>(members: impl Iterator<Item = (&'n str, String)>, indent: usize) -> String {
    let blanks = " ".repeat(indent);
    let members: Vec<String> =
        members.map(|(name, value)| format!("\n{blanks}  {}: {value}", string(name))).collect();
    format!("{{{}\n{blanks}}}", members.join(","))
}

/// A text in quotes; everything that must be is escaped.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// The value of a field.
fn value(field: &Field, listed: &Listed) -> String {
    let (what, config) = (&field.what, &*listed.config);
    match what {
        What::Id => listed.id.to_string(),
        What::SmartName => listed.name.as_deref().map_or_else(|| listed.id.to_string(), string),
        What::Name => or_null(listed.name.as_deref().map(string)),
        What::Text(value) => or_null(value(listed).map(string)),
        What::Setting(value) => or_null(value(config).map(string)),
        What::Addresses | What::NameServers | What::SearchDomains => {
            let words = text::words(what, listed).unwrap_or_default();
            array(words.iter().map(|word| string(word)))
        }
        What::Status => string(listed.status.word()),
        What::Counter(resource, _) => counter(listed.counter(*resource)),
        What::Disk(resource, _) => or_null(disk(listed, *resource)),
        What::LoadAverage => {
            let load = listed.activity.and_then(|activity| activity.load);
            or_null(load.map(|load| array(load.iter().map(|average| format!("{average:.2}")))))
        }
        What::Uptime => {
            format!("{:.3}", listed.activity.map_or(0.0, |activity| activity.uptime))
        }
        What::CpuLimit => or_null(listed.cpu_share.map(|share| share.limit)),
        What::CpuUnits => or_null(listed.cpu_share.map(|share| share.units)),
        What::Cpus => listed.cpus.unwrap_or(0).to_string(),
        What::IoPriority => config.ioprio.unwrap_or(0).to_string(),
        What::IoLimit => config.iolimit.unwrap_or(0).to_string(),
        What::IopsLimit => config.iopslimit.unwrap_or(0).to_string(),
        What::OnBoot => or_null(config.onboot.map(YesNo::is_yes)),
        What::BootOrder => or_null(config.bootorder),
        What::Layout => string(listed.layout().stored()),
        What::Features => switches(config.features.iter().flat_map(|list| list.iter())),
        What::Vswap => listed.is_vswap().to_string(),
        What::Disabled => (config.disabled == Some(YesNo::Yes)).to_string(),
        What::VmOvercommit => text::factor(config.vm_overcommit.unwrap_or(0.0)),
        What::Netfilter => or_null(config.netfilter.map(|mode| string(mode.word()))),
        What::Capability => switches(config.capability.iter().flat_map(|list| list.iter())),
    }
}

/// A beancounter; what nothing counts is 0.
fn counter(counter: vz_core::accounting::Counter) -> String {
    let members = [
        ("held", counter.held.unwrap_or(0)),
        ("maxheld", counter.maxheld.unwrap_or(0)),
        ("barrier", counter.barrier),
        ("limit", counter.limit),
        ("failcnt", counter.failcnt.unwrap_or(0)),
    ];
    object(members.into_iter().map(|(name, value)| (name, value.to_string())), 4)
}

fn disk(listed: &Listed, resource: DiskResource) -> Option<String> {
    let counter = text::disk_counter(listed, resource)?;
    let members =
        [("usage", counter.usage), ("softlimit", counter.soft), ("hardlimit", counter.hard)];
    Some(object(members.into_iter().map(|(name, value)| (name, value.to_string())), 4))
}

/// Switches as an object of booleans, in small letters; `null` when there are none.
fn switches(list: impl Iterator<Item = (&'static str, bool)>) -> String {
    let members: Vec<(String, String)> =
        list.map(|(name, on)| (name.to_lowercase(), on.to_string())).collect();
    if members.is_empty() {
        return "null".to_owned();
    }
    object(members.iter().map(|(name, on)| (name.as_str(), on.clone())), 4)
}
