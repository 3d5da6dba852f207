//! How the C library looks up names of hosts.

use std::io;

unsafe extern "C" {
    /// nss.h of glibc.
    fn __nss_configure_lookup(
        database: *const libc::c_char,
        services: *const libc::c_char,
    ) -> libc::c_int;
}

/// Has names of hosts looked up in /etc/hosts and by DNS alone, whatever nsswitch.conf(5) says: these
/// two are built into the C library. A static program would load any other service as a shared
/// library, made for the C library of the node, which need not be the one it was built with.
///
/// # Errors
/// That of the C library, which was asked after a name before.
pub fn use_built_in_services() -> io::Result<()> {
    // SAFETY: both texts end in a NUL and live for ever; the function keeps what it has parsed.
    match unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    #[test]
    fn the_node_itself_is_found() {
        super::use_built_in_services().unwrap();
        let found = ("localhost", 80).to_socket_addrs().unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    }
}
