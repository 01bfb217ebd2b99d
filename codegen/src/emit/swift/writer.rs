//! Text with indentation.

/// Width at which documentation comments wrap, indentation included.
const WIDTH: usize = 110;

/// Collects lines; blocks indent what they hold.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    /// A file that begins with these lines.
    pub(super) fn new(head: &str) -> Self {
        Self {
            text: head.to_owned(),
            depth: 0,
        }
    }

    /// One line; an empty one stays without indentation.
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n("    ", self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// An empty line, unless the text already ends in one or a block has just begun.
    pub(super) fn gap(&mut self) {
        if !(self.text.ends_with("\n\n") || self.text.ends_with("{\n")) {
            self.text.push('\n');
        }
    }

    /// `head {`, the body indented, `}`.
    pub(super) fn block(&mut self, head: impl AsRef<str>, body: impl FnOnce(&mut Self)) {
        self.line(format!("{} {{", head.as_ref()));
        self.indented(body);
        self.line("}");
    }

    /// The body one step deeper.
    pub(super) fn indented(&mut self, body: impl FnOnce(&mut Self)) {
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    /// A documentation comment, wrapped; paragraphs are told apart by empty lines.
    pub(super) fn doc(&mut self, text: &str) {
        let room = WIDTH.saturating_sub(self.depth * 4 + 4);
        for paragraph in text.trim().split('\n') {
            if paragraph.trim().is_empty() {
                self.line("///");
                continue;
            }
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                    self.line(format!("/// {line}"));
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            self.line(format!("/// {line}"));
        }
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A string literal. JSON's escapes are Swift's but for `\u`.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c if c.is_control() => literal.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// A literal without escapes, for JSON: as many `#` as the text needs.
pub(super) fn raw(text: &str) -> String {
    let mut fence = String::from("#");
    while text.contains(&format!("\"{fence}")) || text.contains(&format!("\\{fence}")) {
        fence.push('#');
    }
    format!("{fence}\"{text}\"{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_indent_and_documentation_wraps() {
        let mut writer = Writer::new("// head\n");
        writer.gap();
        writer.block("struct A", |writer| {
            writer.gap();
            writer.doc(&format!("{} end\n\nmore", "word ".repeat(25)));
            writer.line("let a: Int");
        });
        let text = writer.finish();
        let longest = text.lines().map(str::len).max();
        assert!(longest <= Some(WIDTH), "{longest:?}");
        assert_eq!(
            text,
            format!(
                "// head\n\nstruct A {{\n    /// {}word\n    /// {}end\n    ///\n    /// more\n    let a: Int\n}}\n",
                "word ".repeat(19),
                "word ".repeat(5)
            )
        );
    }

    #[test]
    fn literals() {
        for (text, swift) in [
            ("plain", "\"plain\""),
            ("a\"b\\c\n", "\"a\\\"b\\\\c\\n\""),
            ("\u{1}\u{2028}", "\"\\u{1}\u{2028}\""),
            ("\\(x)", "\"\\\\(x)\""),
        ] {
            assert_eq!(quoted(text), swift);
        }
        for (text, swift) in [
            ("{\"a\":1}", "#\"{\"a\":1}\"#"),
            ("\"#", "##\"\"#\"##"),
            ("\\n", "#\"\\n\"#"),
            ("\\#(x)", "##\"\\#(x)\"##"),
        ] {
            assert_eq!(raw(text), swift);
        }
    }
}
