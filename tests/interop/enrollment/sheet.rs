//! The sheet of an invite, printed by a browser, and its code wherever it is drawn: scanners read the link.

use std::path::Path;

use data_encoding::BASE64;
use rexpect::reader::Options;
use rexpect::session::spawn_with_options;
use serde_json::{Value, json};

use super::browser::{Browser, TOOLS, keep_picture};
use crate::support::{HOST, Home, finish, need, need_zxing, python};

/// Paper, in centimetres.
const PAPERS: [(&str, f64, f64); 2] = [("a4", 21.0, 29.7), ("letter", 21.59, 27.94)];

fn inviting() -> Home {
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    home
}

/// Makes an invite with a sheet in the directory `sheets`: its link.
fn sheet(home: &Home, arguments: &[&str]) -> String {
    let all = [&["invite", "create", "--json", "--out", "sheets"], arguments].concat();
    home.run(&all).json()["link"].as_str().unwrap().to_owned()
}

/// Prints a page on paper of this size: PDF.
fn print(browser: &Browser<'_>, page: &Path, width: f64, height: f64) -> Vec<u8> {
    browser.open(&format!("file://{}", page.display()));
    // Without margins of its own the browser takes those that the page asks for.
    let margin = json!({ "top": 0, "bottom": 0, "left": 0, "right": 0 });
    let size = json!({ "width": width, "height": height });
    let pdf: Value = browser.ask("print", &json!({ "page": size, "margin": margin }));
    BASE64.decode(pdf.as_str().unwrap().as_bytes()).unwrap()
}

/// What zbar reads in a picture.
fn by_zbar(home: &Home, picture: &str) -> String {
    let arguments = ["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", picture];
    home.foreign("zbarimg", &arguments)
        .ok()
        .stdout
        .trim_end()
        .to_owned()
}

/// What ZXing reads in a picture: each code a line.
fn by_zxing(home: &Home, picture: &str) -> String {
    const SCRIPT: &str = "import sys, zxingcpp; from PIL import Image\n\
                          for code in zxingcpp.read_barcodes(Image.open(sys.argv[1])): print(code.text)";
    let mut command = python();
    command.args(["-c", SCRIPT]).arg(home.path(picture));
    finish(&mut command, b"").ok().stdout.trim_end().to_owned()
}

#[test]
fn a_printed_sheet_is_one_page_and_a_scanner_reads_the_link_off_it() {
    if !need(&TOOLS) || !need(&["pdfinfo", "pdftoppm", "zbarimg"]) || !need_zxing() {
        return;
    }
    let home = inviting();
    // The longest that anybody is called.
    let long = "Maximiliane Alexandra Freifrau von Hohenstein zu Regensburg-Land";
    let longest = [
        "maximiliane.hohenstein-wittelsbach/phone-of-the-company",
        "--code",
        "--code-out",
        "digits",
        "--name",
        long,
    ];
    for (stem, link) in [
        ("alice-phone", sheet(&home, &["alice", "--name", "Alice Doe"])),
        (
            "maximiliane.hohenstein-wittelsbach-phone-of-the-company",
            sheet(&home, &longest),
        ),
    ] {
        let page = home.path(format!("sheets/{stem}.invite.html"));
        let browser = Browser::start(&home, 1280, &[]);
        for (paper, width, height) in PAPERS {
            let pdf = format!("{stem}.{paper}.pdf");
            std::fs::write(home.path(&pdf), print(&browser, &page, width, height)).unwrap();
            let said = home.foreign("pdfinfo", &[&pdf]).ok().stdout;
            let pages = said.lines().find_map(|line| line.strip_prefix("Pages:"));
            assert_eq!(pages.map(str::trim), Some("1"), "{stem} on {paper}: {said}");
            let points = format!("{:.0}", width / 2.54 * 72.0);
            assert!(
                said.lines()
                    .any(|line| line.starts_with("Page size:") && line.contains(&points)),
                "{paper}: {said}"
            );
            let picture = format!("{stem}.{paper}");
            home.foreign("pdftoppm", &["-r", "150", "-png", "-singlefile", &pdf, &picture])
                .ok();
            let picture = format!("{picture}.png");
            assert_eq!(by_zbar(&home, &picture), link, "{stem} on {paper}");
            assert_eq!(by_zxing(&home, &picture), link, "{stem} on {paper}");
            keep_picture(
                &format!("sheet-{stem}.{paper}"),
                &std::fs::read(home.path(picture)).unwrap(),
            );
        }
    }
}

#[test]
fn the_sheet_says_who_what_and_until_when() {
    let home = inviting();
    let link = sheet(&home, &["alice", "--name", "Alice Doe & Sons"]);
    let text = std::fs::read_to_string(home.path("sheets/alice-phone.invite.html"))
        .unwrap()
        .replace("&#x2f;", "/");
    let until = home.run(&["invite", "list", "--json"]).json()["invites"][0]["until"].clone();
    let (date, time) = until.as_str().unwrap().split_once('T').unwrap();
    for part in [
        "Acme Ltd",
        "Alice Doe &amp; Sons",
        "alice/phone",
        "Open the camera",
        &date[..4],
        &format!("{} UTC", &time[..5]),
        &link,
    ] {
        assert!(text.contains(part), "the sheet lacks {part}");
    }
    assert!(!text.contains("six digits"));
}

#[test]
fn two_scanners_read_the_link_off_the_pictures_and_off_the_terminal() {
    if !need(&["zbarimg", "rsvg-convert"]) || !need_zxing() {
        return;
    }
    let home = inviting();
    let link = sheet(&home, &["alice"]);
    let drawn = ["sheets/alice-phone.invite.svg", "--output", "svg.png"];
    home.foreign("rsvg-convert", &drawn).ok();
    for picture in ["sheets/alice-phone.invite.png", "svg.png"] {
        assert_eq!(by_zbar(&home, picture), link, "{picture}");
        assert_eq!(by_zxing(&home, picture), link, "{picture}");
    }
    for (term, picture) in [("xterm-256color", "colours.pgm"), ("dumb", "plain.pgm")] {
        let shown = in_terminal(&home, term);
        std::fs::write(home.path(picture), as_picture(&shown)).unwrap();
        let link = shown
            .lines()
            .find(|line| line.starts_with("https://"))
            .unwrap()
            .trim();
        assert_eq!(by_zxing(&home, picture), link, "{term}: {shown}");
        if term != "dumb" {
            assert_eq!(by_zbar(&home, picture), link, "{shown}");
        }
    }
}

/// What a terminal of 80 columns is shown of an invite.
fn in_terminal(home: &Home, term: &str) -> String {
    let mut command = home.pki(&["invite", "create", "alice"]);
    command.env("TERM", term);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "stty cols 80 rows 40; exec \"$@\"", "sh"]);
    shell
        .arg(command.get_program())
        .args(command.get_args().filter(|word| *word != "--no-input"));
    shell.current_dir(home.path("."));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut session = spawn_with_options(shell, Options::new().timeout_ms(Some(30_000))).unwrap();
    // rexpect gives every octet as a character of its own.
    let shown: Vec<u8> = session
        .exp_eof()
        .unwrap()
        .chars()
        .map(|octet| octet as u8)
        .collect();
    String::from_utf8(shown).unwrap()
}

/// A terminal of white letters on black as a picture (PGM), of whose letters those are drawn that make up a
/// code: each is two modules high.
fn as_picture(shown: &str) -> Vec<u8> {
    const COLUMNS: usize = 80;
    const MODULE: usize = 6;
    let mut rows = Vec::new();
    for line in shown.lines() {
        let (ink, paper, text) = match line.strip_prefix("\x1b[38;5;16;48;5;231m") {
            Some(text) => (0, 255, text.split('\x1b').next().unwrap()),
            None => (255, 0, line),
        };
        let mut halves = [vec![0; COLUMNS * MODULE], vec![0; COLUMNS * MODULE]];
        for (column, letter) in text.trim_end_matches('\r').chars().take(COLUMNS).enumerate() {
            let drawn = match letter {
                '█' => [ink, ink],
                '▀' => [ink, paper],
                '▄' => [paper, ink],
                _ => [paper, paper],
            };
            for (half, colour) in halves.iter_mut().zip(drawn) {
                half[column * MODULE..][..MODULE].fill(colour);
            }
        }
        rows.extend(halves);
    }
    let head = format!("P5 {} {} 255\n", COLUMNS * MODULE, rows.len() * MODULE);
    let pixels = rows
        .iter()
        .flat_map(|row| std::iter::repeat_n(row, MODULE).flatten());
    head.into_bytes().into_iter().chain(pixels.copied()).collect()
}
