//! Shell patterns, as fnmatch(3) of the C library has them: admins' scripts were written to it.

use std::ffi::CString;

/// Says whether the whole `text` matches `pattern`. A text or pattern with a NUL matches nothing.
pub fn fnmatch(pattern: &str, text: &str) -> bool {
    let (Ok(pattern), Ok(text)) = (CString::new(pattern), CString::new(text)) else {
        return false;
    };
    // SAFETY: both are NUL-terminated and live over the call, which keeps neither.
    unsafe { libc::fnmatch(pattern.as_ptr(), text.as_ptr(), 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::fnmatch;

    #[test]
    fn patterns() {
        for (pattern, text) in [("*", ""), ("we[ab]", "web"), ("*.example.*", "a.example.com")] {
            assert!(fnmatch(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("web", "web2"), ("[!w]eb", "web"), ("", "a"), ("*", "a\0b")] {
            assert!(!fnmatch(pattern, text), "{pattern} {text}");
        }
    }
}
