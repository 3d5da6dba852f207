//! The node's local time (localtime(3), strftime(3)).

use std::ffi::CStr;

/// The time `seconds` after the epoch as `%Y-%m-%dT%T%z`, in the node's time zone.
pub fn stamp(seconds: i64) -> String {
    formatted(seconds, c"%Y-%m-%dT%H:%M:%S%z")
}

/// The same as `%Y-%m-%d %T`.
pub fn date_and_time(seconds: i64) -> String {
    formatted(seconds, c"%Y-%m-%d %H:%M:%S")
}

fn formatted(seconds: i64, format: &CStr) -> String {
    // SAFETY: tm is plain data for which all zeroes is a valid value.
    let mut broken_down: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to values that live across the call; localtime_r keeps no static state.
    if unsafe { libc::localtime_r(&raw const seconds, &raw mut broken_down) }.is_null() {
        return seconds.to_string();
    }
    let mut text = [0; 64];
    // SAFETY: the buffer's true size is told, the format is NUL-terminated.
    let length = unsafe {
        libc::strftime(text.as_mut_ptr(), text.len(), format.as_ptr(), &raw const broken_down)
    };
    let bytes: Vec<u8> = text[..length].iter().map(|byte| *byte as u8).chain([0]).collect();
    CStr::from_bytes_until_nul(&bytes)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape() {
        let text = stamp(1_795_224_818);
        assert_eq!(text.len(), "2026-11-21T01:53:38+0000".len());
        assert!(text.starts_with("2026-11-2") && text.as_bytes()[10] == b'T');
        assert_eq!(date_and_time(1_795_224_818), text[..19].replace('T', " "));
    }
}
