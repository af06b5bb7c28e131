//! The scripts of packaging/ that no test runs otherwise can be read by a plain shell.

use std::process::Command;

use crate::sources::root;

#[test]
fn every_script_of_the_packages_is_one() {
    let scripts = [
        "deb/postinst",
        "deb/postrm",
        "deb/prerm",
        "openrc/tunneld.confd",
        "openrc/tunneld.initd",
        "openwrt/tunneld.init",
        "rpm/post.sh",
        "rpm/postun.sh",
        "rpm/preun.sh",
    ];
    for script in scripts {
        let read = Command::new("sh").arg("-n").arg(root().join("packaging").join(script)).output().expect("sh");
        assert!(read.status.success(), "{script}: {}", String::from_utf8_lossy(&read.stderr));
    }
}
