//! A list as a table. The layout is the original's to the byte: programs cut it by columns.

use std::borrow::Cow;
use std::iter;

use vz_conf::yesno::YesNo;
use vz_core::accounting::{Activity, Counter, DiskCounter};
use vz_core::listing::Listed;

use crate::field::{CounterPart, DiskPart, DiskResource, Field, What};

/// What stands for a value that is not there.
const NONE: &str = "-";

/// The table: a header if wanted, and a line for each container.
///
/// With `trim` a text is cut to its column, and of a list only the first word shown, unless it is
/// the last column.
pub fn render(list: &[Listed], fields: &[&Field], header: bool, trim: bool) -> String {
    let mut table = String::with_capacity(80 * (list.len() + 1));
    if header {
        push_line(&mut table, fields, |table, field, _| {
            push_aligned(table, field.header, field.width);
        });
    }
    for listed in list {
        push_line(&mut table, fields, |table, field, is_last| {
            push_cell(table, field, listed, trim && !is_last, is_last);
        });
    }
    table
}

/// Adds a line: one blank between cells, none at its end.
fn push_line(
    table: &mut String,
    fields: &[&Field],
    mut push_cell: impl FnMut(&mut String, &Field, bool),
) {
    let start = table.len();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            table.push(' ');
        }
        push_cell(table, field, index + 1 == fields.len());
    }
    let end = start + table[start..].trim_end().len();
    table.truncate(end);
    table.push('\n');
}

/// A value that cannot break the table: a control character, of which a line break is one,
/// becomes `?`. A tab separates words as a blank does, and stays.
pub fn printable(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() && c != '\t' && c != '\n';
    if text.contains(breaks) { text.replace(breaks, "?").into() } else { text.into() }
}

/// As [`printable`], of one cell: on one line.
fn one_line(text: &str) -> Cow<'_, str> {
    // Most texts have none of the characters among which those are.
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text.into();
    }
    let breaks = |c: char| c.is_control() && c != '\t';
    if text.contains(breaks) { text.replace(breaks, "?").into() } else { text.into() }
}

/// Adds a text in a column, as printf(3) would: widths are in bytes, a negative one is on the left.
fn push_aligned(table: &mut String, text: &str, width: i32) {
    let blanks = (width.unsigned_abs() as usize).saturating_sub(text.len());
    let blanks = iter::repeat_n(' ', blanks);
    if width >= 0 {
        table.extend(blanks);
        table.push_str(text);
    } else {
        table.push_str(text);
        table.extend(blanks);
    }
}

/// A text cut to a width in bytes, between characters.
fn cut(text: &str, width: i32) -> &str {
    let width = width.unsigned_abs() as usize;
    let end = (0..=width.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Adds a text in a column, cut to it or not.
fn push_text(table: &mut String, value: Option<&str>, width: i32, trim: bool) {
    let value = one_line(value.unwrap_or(NONE));
    push_aligned(table, if trim { cut(&value, width) } else { &value }, width);
}

fn push_number(table: &mut String, value: Option<impl ToString>, width: i32) {
    let value = value.map(|value| value.to_string());
    push_aligned(table, value.as_deref().unwrap_or(NONE), width);
}

fn push_word(table: &mut String, value: Option<&str>, width: i32) {
    push_aligned(table, value.unwrap_or(NONE), width);
}

fn yes_no(yes: bool) -> Option<&'static str> {
    Some(if yes { "yes" } else { "no" })
}

/// Adds one value in its column.
fn push_cell(table: &mut String, field: &Field, listed: &Listed, trim: bool, is_last: bool) {
    let (what, width, config) = (&field.what, field.width, &*listed.config);
    match what {
        What::Id => push_number(table, Some(listed.id), width),
        What::SmartName => match &listed.name {
            Some(name) => push_text(table, Some(name), width, trim),
            None => push_number(table, Some(listed.id), width),
        },
        What::Name => push_text(table, listed.name.as_deref(), width, trim),
        // On the left, whatever their header is.
        What::Text(value) => push_text(table, value(listed), -width.abs(), trim),
        What::Setting(value) => push_text(table, value(config), -width.abs(), trim),
        What::Addresses | What::NameServers | What::SearchDomains => {
            push_list(table, what, listed, width, trim, is_last)
        }
        What::Status => push_word(table, Some(listed.status.word()), width),
        What::Counter(resource, part) => {
            push_number(table, counter_part(listed.counter(*resource), *part), width)
        }
        What::Disk(resource, part) => {
            let value = disk_counter(listed, *resource).map(|counter| disk_part(counter, *part));
            // Usage of nothing is usage that nothing has counted.
            push_number(table, value.filter(|value| *part != DiskPart::Usage || *value > 0), width)
        }
        What::LoadAverage => push_word(table, load_average(listed).as_deref(), width),
        What::Uptime => push_word(table, listed.activity.map(uptime).as_deref(), width),
        What::CpuLimit => push_number(table, listed.cpu_share.map(|share| share.limit), width),
        What::CpuUnits => push_number(table, listed.cpu_share.map(|share| share.units), width),
        What::Cpus => push_number(table, listed.cpus.filter(|cpus| *cpus > 0), width),
        What::IoPriority => push_number(table, config.ioprio, width),
        What::IoLimit => push_number(table, config.iolimit.filter(|limit| *limit > 0), width),
        What::IopsLimit => push_number(table, config.iopslimit.filter(|limit| *limit > 0), width),
        What::OnBoot => {
            push_word(table, config.onboot.and_then(|onboot| yes_no(onboot.is_yes())), width)
        }
        What::BootOrder => push_number(table, config.bootorder, width),
        What::Layout => push_word(table, Some(listed.layout().stored()), -width),
        What::Features => push_text(
            table,
            switches(config.features.iter().flat_map(|list| list.iter())).as_deref(),
            width,
            trim,
        ),
        What::Vswap => push_word(table, yes_no(listed.is_vswap()), width),
        What::Disabled => push_word(table, yes_no(config.disabled == Some(YesNo::Yes)), width),
        What::VmOvercommit => push_word(table, config.vm_overcommit.map(factor).as_deref(), width),
        What::Netfilter => push_word(table, config.netfilter.map(|mode| mode.word()), width),
        What::Capability => {
            let known = config.capability.iter().flat_map(|list| list.iter());
            push_text(table, switches(known).as_deref(), width, trim)
        }
    }
}

/// The words of a list; `None` for an empty one.
pub fn words(what: &What, listed: &Listed) -> Option<Vec<String>> {
    let words = match what {
        What::Addresses => listed.addresses.clone(),
        What::NameServers => listed.config.nameserver.as_ref()?.as_slice().to_vec(),
        What::SearchDomains => listed.config.searchdomain.as_ref()?.as_slice().to_vec(),
        _ => Vec::new(),
    };
    (!words.is_empty()).then_some(words)
}

fn push_list(
    table: &mut String,
    what: &What,
    listed: &Listed,
    width: i32,
    trim: bool,
    is_last: bool,
) {
    let Some(words) = words(what, listed) else { return push_word(table, None, width) };
    if trim {
        return push_text(table, words.first().map(String::as_str), width, true);
    }
    // The addresses of a running container come with a blank behind each: seen with --no-trim.
    let is_live = matches!(what, What::Addresses) && listed.is_running() && !is_last;
    let words = words.join(" ") + if is_live { " " } else { "" };
    push_text(table, Some(&words), width, false);
}

/// One number of a beancounter, where it is counted.
fn counter_part(counter: Counter, part: CounterPart) -> Option<u64> {
    match part {
        CounterPart::Held => counter.held,
        CounterPart::MaxHeld => counter.maxheld,
        CounterPart::Barrier => Some(counter.barrier),
        CounterPart::Limit => Some(counter.limit),
        CounterPart::FailCnt => counter.failcnt,
    }
}

/// The disk resource of a container, where something is known of it.
pub fn disk_counter(listed: &Listed, resource: DiskResource) -> Option<DiskCounter> {
    listed.disk.map(|disk| match resource {
        DiskResource::Space => disk.space,
        DiskResource::Inodes => disk.inodes,
    })
}

/// One number of a disk resource.
pub fn disk_part(counter: DiskCounter, part: DiskPart) -> u64 {
    match part {
        DiskPart::Usage => counter.usage,
        DiskPart::Soft => counter.soft,
        DiskPart::Hard => counter.hard,
    }
}

fn load_average(listed: &Listed) -> Option<String> {
    let [one, five, fifteen] = listed.activity?.load?;
    Some(format!("{one:.2}/{five:.2}/{fifteen:.2}"))
}

/// Days, hours, minutes and seconds.
fn uptime(activity: Activity) -> String {
    let seconds = activity.uptime as u64;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!("{:03}d{:02}h:{:02}m:{:02}s", hours / 24, hours % 24, minutes % 60, seconds % 60)
}

/// Switches as `name:on,name:off`, in small letters; `None` when there are none.
fn switches(list: impl Iterator<Item = (&'static str, bool)>) -> Option<String> {
    let words: Vec<String> = list
        .map(|(name, on)| format!("{}:{}", name.to_lowercase(), if on { "on" } else { "off" }))
        .collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// Digits that printf(3) shows for `%g`.
const DIGITS: i32 = 6;

/// A number as printf(3) shows it for `%g`: six digits, without zeros at the end.
pub fn factor(value: f32) -> String {
    let scientific = format!("{:.*e}", DIGITS as usize - 1, value);
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let short = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        return short(&format!("{:.*}", (DIGITS - 1 - exponent).unsigned_abs() as usize, value));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", short(digits), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes() {
        let shown = |uptime| super::uptime(Activity { load: None, uptime });
        assert_eq!(shown(0.9), "000d00h:00m:00s");
        assert_eq!(shown(90_061.0), "001d01h:01m:01s");
        assert_eq!(shown(86_400_000.0), "1000d00h:00m:00s");
    }

    #[test]
    fn factors_as_printf_shows_them() {
        for (value, shown) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (2.0, "2"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.0 / 3.0, "0.333333"),
        ] {
            assert_eq!(factor(value), shown);
        }
    }

    #[test]
    fn columns_are_cut_between_characters() {
        let text = |value, width, trim| {
            let mut table = String::new();
            push_text(&mut table, value, width, trim);
            table
        };
        assert_eq!(text(Some("Kühe"), -2, true), "K ");
        assert_eq!(text(Some("Kühe"), -2, false), "Kühe");
        assert_eq!(text(None, 3, true), "  -");
    }

    #[test]
    fn nothing_breaks_a_line() {
        assert_eq!(one_line("a\nb\r\u{1b}[2J\tc\u{85}"), "a?b??[2J\tc?");
        assert_eq!(printable("a\nb\u{7}"), "a\nb?");
    }
}
