//! The page in a real browser: from the link to a certificate, or to words that say what to do.

use std::path::PathBuf;

use data_encoding::BASE64;

use super::Serving;
use super::browser::{Browser, ENTER, TOOLS};
use crate::configured::{Kind, Running, publish_outside};
use crate::support::{Bundle, Home, need, wait_until};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.1 Mobile/15E148 Safari/604.1";

/// The file that was saved, with the passphrase that was shown.
fn saved(browser: &Browser<'_>, home: &Home, serial: String) -> Bundle {
    let word = browser.text("word");
    let p12: PathBuf = home.path("downloads/device.p12");
    wait_until("the download", || p12.exists().then_some(()));
    Bundle {
        files: vec![p12.clone()],
        p12,
        passphrase: home.write_private("word", &format!("{word}\n")),
        serial,
    }
}

#[test]
fn somebody_with_a_browser_and_a_keyboard_enrolls_and_gets_in() {
    if !need(&TOOLS) || !need(&["nginx", "certtool", "keytool", "pk12util", "certutil"]) {
        return;
    }
    let home = Home::with_server();
    publish_outside(Kind::Nginx, &home);
    let Some(serving) = Serving::of(home) else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--name", "Alice Doe"]);
    let ledger = serving.ledger();
    let browser = Browser::start(home, 320, &[]);
    browser.open(invite.word("link"));
    // A program that opens links in mails runs scripts, and waits.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(serving.ledger(), ledger);
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth <= window.innerWidth"),
        true,
        "it does not fit a narrow screen"
    );
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("the certificate", || browser.is_shown("done").then_some(()));
    assert!(
        !browser
            .run("return location.hash")
            .as_str()
            .unwrap()
            .contains(invite.word("secret"))
    );
    browser.tab_to("copy");
    browser.tab_to("save");
    browser.press(ENTER);
    let serial = home.serial_of("alice/phone");
    let bundle = saved(&browser, home, serial.clone());
    drop(browser);

    // Every program that opens our own bundles opens it.
    let (p12, word) = (bundle.p12.display().to_string(), bundle.passphrase());
    let [leaf, chain, key] = home.opened(&bundle).map(|path| path.display().to_string());
    let said = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-serial"])
        .ok();
    assert_eq!(said.stdout.trim(), format!("serial={serial}"));
    assert!(
        std::fs::read_to_string(&chain)
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    assert!(std::fs::read_to_string(&key).unwrap().contains("PRIVATE KEY"));
    home.foreign(
        "certtool",
        &["--p12-info", "--inder", "--infile", &p12, "--password", &word],
    )
    .ok();
    let said = home.foreign(
        "keytool",
        &[
            "-list",
            "-v",
            "-storetype",
            "PKCS12",
            "-keystore",
            &p12,
            "-storepass",
            &word,
        ],
    );
    assert!(said.ok().stdout.contains("Certificate chain length: 2"));
    std::fs::create_dir(home.path("nss")).unwrap();
    home.foreign("certutil", &["-N", "-d", "sql:nss", "--empty-password"])
        .ok();
    home.foreign("pk12util", &["-i", &p12, "-d", "sql:nss", "-W", &word])
        .ok();

    // And the real nginx lets it in, until it is revoked.
    wait_until("the servers' lists", || {
        serving.is_published(&serial).then_some(())
    });
    let running = Running::start(Kind::Nginx, home);
    assert_eq!(running.server.curl(home, Some(&bundle), "/").0, Some(200));
}

#[test]
fn an_iphone_is_asked_for_the_six_digits_and_a_second_one_is_told_that_it_came_second() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--for", "ios", "--code"]);
    let browser = Browser::start(home, 390, &[format!("--user-agent={IPHONE}")]);
    browser.open(invite.word("link"));
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("the question", || browser.is_shown("digits").then_some(()));
    assert_eq!(browser.run("return document.activeElement.id"), "code");
    for digit in invite.word("code").chars() {
        browser.press(&digit.to_string());
    }
    browser.press(ENTER);
    wait_until("the certificate", || browser.is_shown("done").then_some(()));
    // Safari installs a profile from an address: the file is there, encrypted as it was made, and stays a
    // while.
    assert!(browser.is_shown("iphone") && !browser.is_shown("android"));
    let address = browser.run("return document.getElementById('save').getAttribute('href')");
    let address = address.as_str().unwrap();
    for _ in 0..2 {
        let (status, profile) = serving.ask(address, "include\n");
        assert!(
            status == 200 && profile.contains("content-type: application/x-apple-aspen-config"),
            "{profile}"
        );
        let (_, data) = profile.split_once("<data>").unwrap();
        let data = data.split_once("</data>").unwrap().0.replace("&#x2f;", "/");
        std::fs::write(home.path("device.p12"), BASE64.decode(data.as_bytes()).unwrap()).unwrap();
    }
    let word = home.write_private("word", &format!("{}\n", browser.text("word")));
    let opened = [
        "pkcs12",
        "-in",
        "device.p12",
        "-passin",
        &format!("file:{}", word.display()),
        "-noenc",
    ];
    assert!(
        home.foreign("openssl", &opened)
            .ok()
            .stdout
            .contains("PRIVATE KEY")
    );
    let (status, _) = serving.ask(&format!("{address}x"), "");
    assert_eq!(status, 404);
    // Another tab has another key.
    browser.run("sessionStorage.clear()");
    browser.open("about:blank");
    browser.open(invite.word("link"));
    browser.tab_to("go");
    browser.press(ENTER);
    wait_until("what is told", || {
        browser
            .text("told")
            .contains("used by another device")
            .then_some(())
    });
    assert_eq!(serving.invites()[0]["refused"], 1);
}

#[test]
fn a_page_that_is_loaded_again_has_its_key_still() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice"]);
    let browser = Browser::start(home, 390, &[]);
    for _ in 0..2 {
        browser.open("about:blank");
        browser.open(invite.word("link"));
        browser.tab_to("go");
        browser.press(ENTER);
        // The answer is lost the first time: nobody saves the file.
        wait_until("the certificate", || browser.is_shown("done").then_some(()));
    }
    assert_eq!(serving.invites()[0]["refused"], 0);
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 1);
}

#[test]
fn a_link_that_is_cut_off_and_a_browser_without_scripts_are_told_what_to_do() {
    if !need(&TOOLS) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice"]);
    let browser = Browser::start(home, 390, &[]);
    let (cut, _) = invite.word("link").split_once('#').unwrap();
    browser.open(cut);
    assert!(browser.is_shown("incomplete") && !browser.is_shown("begin"));
    drop(browser);
    let (status, page) = serving.ask(&format!("/i/{}", invite.word("id")), "");
    assert!(status == 200 && page.contains("<noscript>"), "{page}");
    assert!(page.len() < 40 << 10, "{} octets", page.len());
    // What it runs is what its policy lets it run, and it asks nobody else.
    assert!(!page.contains("http://") && !page.contains("//cdn"), "{page}");
}
