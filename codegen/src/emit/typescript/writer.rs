//! Text with indentation, as TypeScript and JavaScript are written.

/// Width at which documentation comments wrap, indentation included.
const WIDTH: usize = 110;

/// Collects lines; blocks indent what they hold.
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
            self.text.extend(std::iter::repeat_n("  ", self.depth));
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

    /// `head {`, the body indented, `}` and `tail`.
    pub(super) fn block(&mut self, head: &str, tail: &str, body: impl FnOnce(&mut Self)) {
        self.line(format!("{head} {{"));
        self.indented(body);
        self.line(format!("}}{tail}"));
    }

    /// The body one step deeper.
    pub(super) fn indented(&mut self, body: impl FnOnce(&mut Self)) {
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    /// A documentation comment, wrapped; paragraphs are told apart by empty lines. One line where that
    /// is enough.
    pub(super) fn doc(&mut self, text: &str) {
        let text = text.trim().replace("*/", "*\\/");
        let room = WIDTH.saturating_sub(self.depth * 2);
        if !text.contains('\n') && text.chars().count() + "/**  */".len() <= room {
            self.line(format!("/** {text} */"));
            return;
        }
        self.line("/**");
        for paragraph in text.split('\n') {
            let mut line = String::from(" *");
            for word in paragraph.split_whitespace() {
                let full = line.chars().count() + 1 + word.chars().count() > room;
                if full && line.len() > 2 {
                    self.line(&line);
                    line.truncate(2);
                }
                line.push(' ');
                line.push_str(word);
            }
            self.line(&line);
        }
        self.line(" */");
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_indent_and_documentation_wraps() {
        let mut writer = Writer::new("// head\n");
        writer.gap();
        writer.block("export type A =", ";", |writer| {
            writer.gap();
            writer.doc("short */");
            writer.line("a: number;");
            writer.doc(&format!("{}end\n\nmore", "word ".repeat(25)));
            writer.line("b: number;");
        });
        let text = writer.finish();
        let longest = text.lines().map(str::len).max();
        assert!(longest <= Some(WIDTH), "{longest:?}");
        assert_eq!(
            text,
            format!(
                "// head\n\nexport type A = {{\n  /** short *\\/ */\n  a: number;\n  /**\n   *{}\n   *{} end\n   *\n   * more\n   */\n  b: number;\n}};\n",
                " word".repeat(21),
                " word".repeat(4)
            )
        );
    }
}
