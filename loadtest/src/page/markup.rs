//! Markup that is well-formed and escaped by construction.
//!
//! Elements are opened and closed by one call each, around what stands within them, and every
//! text and value of an attribute is escaped on its way in: nothing that a user or a server
//! has supplied can become markup. Names of tags and attributes are our own words.

use std::fmt::{self, Display, Write};

/// An attribute's name and value.
pub type Attribute<'a> = (&'static str, &'a dyn Display);

/// Markup that grows. All that was opened is closed whenever nobody writes to it.
#[derive(Clone, Default, Debug)]
pub struct Markup(String);

impl Markup {
    /// An element with what `fill` puts into it.
    pub fn within(&mut self, tag: &'static str, attributes: &[Attribute<'_>], fill: impl FnOnce(&mut Self)) {
        self.open(tag, attributes);
        self.0.push('>');
        fill(self);
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
    }

    /// An element with a text.
    pub fn leaf(&mut self, tag: &'static str, attributes: &[Attribute<'_>], text: impl Display) {
        self.within(tag, attributes, |markup| markup.text(text));
    }

    /// An element without content.
    pub fn empty(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) {
        self.open(tag, attributes);
        self.0.push_str("/>");
    }

    /// A text.
    pub fn text(&mut self, text: impl Display) {
        let written = write!(Escaping(&mut self.0), "{text}");
        debug_assert!(written.is_ok(), "a string takes everything");
    }

    /// A new line, where it makes the source easier to read.
    pub fn line(&mut self) {
        self.0.push('\n');
    }

    /// Our own style sheet, as it is.
    pub(super) fn style(&mut self, sheet: &'static str) {
        debug_assert!(!sheet.contains('<'), "nothing ends a style sheet early");
        self.0.push_str("<style>");
        self.0.push_str(sheet);
        self.0.push_str("</style>");
    }

    /// What was written.
    pub fn into_string(self) -> String {
        self.0
    }

    fn open(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) {
        debug_assert!(is_name(tag), "{tag} is a tag's name");
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            debug_assert!(is_name(name), "{name} is an attribute's name");
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Takes text and writes what stands for it in markup.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Characters that no document may hold; a wrong answer may.
                c if c.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_values_cannot_become_markup() {
        let mut markup = Markup::default();
        markup.leaf("p", &[("title", &"\"'><script>")], "</p><script>alert('&')\u{0}");
        assert_eq!(
            markup.into_string(),
            "<p title=\"&quot;&#39;&gt;&lt;script&gt;\">&lt;/p&gt;&lt;script&gt;alert(&#39;&amp;&#39;)\u{fffd}</p>"
        );
    }

    #[test]
    fn elements_close_in_the_order_in_which_they_must() {
        let mut markup = Markup::default();
        markup.within("table", &[], |table| {
            table.within("tr", &[("class", &1)], |row| row.empty("td", &[]));
        });
        assert_eq!(markup.into_string(), "<table><tr class=\"1\"><td/></tr></table>");
    }
}
