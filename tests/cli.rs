//! What the commands say where all goes well, and what they offer.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::{Home, need};

#[test]
fn a_shell_completes_the_words_of_a_flag() {
    if !need(&["bash"]) {
        return;
    }
    let home = Home::unfounded();
    let script = home.run(&["completions", "bash"]).stdout;
    home.write_private("completions", &script);
    for ([verb, flag, word], offered) in [
        (["issue", "--for", "a"], "android any"),
        (["issue", "--p12", "m"], "modern"),
        (["issue", "--qr", ""], "bundle none"),
        (["revoke", "--reason", "l"], "lost left"),
        (["list", "--status", "su"], "superseded"),
    ] {
        let ask = format!(
            "source ./completions; COMP_WORDS=(pki {verb} {flag} '{word}'); COMP_CWORD=3; \
             _pki pki '{word}' {flag}; echo ${{COMPREPLY[*]}}"
        );
        let told = home.foreign("bash", &["--norc", "-c", &ask]).ok();
        assert_eq!(told.stdout.trim(), offered, "{told}");
    }
}
