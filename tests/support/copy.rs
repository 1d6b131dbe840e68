//! Keys that are cheap to open, homes that are copied, and what lies in them.

use std::path::Path;

use super::home::Home;
use super::program::{finish, program};

/// Encrypts a key anew, so that it opens at once.
pub fn reseal(home: &Home, place: &Path, passphrase: &str) {
    let secret = format!("pass:{passphrase}");
    let mut arguments = vec![
        "pkcs8",
        "-topk8",
        "-in",
        place.to_str().unwrap(),
        "-passin",
        &secret,
    ];
    arguments.extend([
        "-passout",
        &secret,
        "-scrypt",
        "-scrypt_N",
        "16",
        "-scrypt_r",
        "8",
        "-scrypt_p",
        "1",
    ]);
    arguments.extend(["-v2", "aes-256-cbc"]);
    let sealed = home.foreign("openssl", &arguments).ok().stdout;
    std::fs::write(place, sealed).unwrap();
}

/// The same home once more, with everything that lies beside it. It does not know that it is a copy: it
/// stands for the same home at another time.
pub fn copy_of(home: &Home) -> Home {
    let copy = Home::unfounded();
    let mut command = program("cp");
    command.arg("-a").arg(home.path(".")).arg(copy.path("."));
    finish(&mut command, b"").ok();
    let _ = std::fs::remove_file(copy.home().join("residence.json"));
    copy
}

/// Every file below a directory, by its path from there, in order.
pub fn files_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
