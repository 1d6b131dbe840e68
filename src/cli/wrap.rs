//! Wraps messages to the width of a terminal: they are broken between words, and never inside a path or a
//! command in backticks, so that it can be copied.

use console::measure_text_width;

/// Breaks every line of `text` that is wider than `columns`; what comes after a break is indented by `indent`
/// columns, or as far as its line began.
pub fn wrapped(text: &str, columns: usize, indent: usize) -> String {
    let lines = text.split('\n').map(|line| wrapped_line(line, columns, indent));
    lines.collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str, columns: usize, indent: usize) -> String {
    let begins = line.len() - line.trim_start_matches(' ').len();
    let hanging = " ".repeat(indent.max(begins));
    let mut done = String::new();
    let mut width = 0;
    for (blanks, word) in words(line) {
        let wide = measure_text_width(word);
        if width <= hanging.len() || width + blanks.len() + wide <= columns {
            done.push_str(blanks);
            width += blanks.len();
        } else {
            done.push('\n');
            done.push_str(&hanging);
            width = hanging.len();
        }
        done.push_str(word);
        width += wide;
    }
    done
}

/// The words of a line, each with the blanks before it. What stands in backticks is part of one word.
fn words(line: &str) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let start = rest.find(|c| c != ' ').unwrap_or(rest.len());
        let mut end = start;
        while let Some(next) = rest[end..].chars().next().filter(|c| *c != ' ') {
            let closing = rest[end + next.len_utf8()..].find('`');
            end += match closing {
                Some(length) if next == '`' => length + 2,
                Some(_) | None => next.len_utf8(),
            };
        }
        words.push((&rest[..start], &rest[start..end]));
        rest = &rest[end..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_hang() {
        let text = "pki: the directory /a/rather/long/path/of/one/word cannot be read";
        assert_eq!(
            wrapped(text, 30, 5),
            "pki: the directory\n     /a/rather/long/path/of/one/word\n     cannot be read"
        );
        assert_eq!(wrapped(text, 100, 5), text);
        assert_eq!(
            wrapped("some rows:\n  line 2: it has 3 cells", 16, 2),
            "some rows:\n  line 2: it has\n  3 cells"
        );
    }

    #[test]
    fn a_command_stays_in_one_piece() {
        assert_eq!(
            wrapped("→ run `pki root crl --no-publish`; then publish", 24, 2),
            "→ run\n  `pki root crl --no-publish`;\n  then publish"
        );
        assert_eq!(wrapped("one ` alone is a word", 12, 0), "one ` alone\nis a word");
    }

    #[test]
    fn colours_take_no_room_and_columns_stay() {
        assert_eq!(
            wrapped("\x1b[31mred and blue\x1b[0m", 12, 0),
            "\x1b[31mred and blue\x1b[0m"
        );
        assert_eq!(wrapped("root      until 2036", 20, 5), "root      until 2036");
    }
}
