//! Documents and whatever else is text: links that lead somewhere, records numbered once, and
//! no trace of the machine that a file was written on.
//!
//! The traces are spelt apart here, so that this file does not hold what it looks for.

/// Folders that exist on somebody's machine and on nobody else's.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/t", "mp/")];

/// Hosts of package registries: what is fetched, and from where, is the business of the tools.
const REGISTRY_HOSTS: [&str; 4] =
    [concat!("crates", ".io"), concat!("py", "pi.org"), concat!("npm", "js."), concat!("proxy.gol", "ang")];

/// Absolute paths of a machine and names of registries, line by line.
pub fn machine_traces(path: &str, text: &str) -> Vec<String> {
    let mut offenders = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let folder = MACHINE_FOLDERS.iter().find(|folder| holds_absolute(line, folder));
        let host = REGISTRY_HOSTS.iter().find(|host| line.contains(*host));
        let line = index + 1;
        offenders.extend(folder.into_iter().chain(host).map(|trace| format!("{path}:{line}: {trace}")));
    }
    offenders
}

/// Whether `folder` stands in `line` as the beginning of a path and not inside of one.
fn holds_absolute(line: &str, folder: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || "._-)}".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(is_inside))
}

/// Relative links of a Markdown document that lead to no file.
pub fn broken_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut offenders = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        in_block ^= line.trim_start().starts_with("```");
        if in_block {
            continue;
        }
        for target in link_targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            let is_relative = !target.contains("://") && !target.starts_with("mailto:") && !file.is_empty();
            if is_relative && !exists(&format!("{folder}/{file}").trim_start_matches('/').replace("//", "/"))
            {
                offenders.push(format!("{path}:{}: {target} is not there", index + 1));
            }
        }
    }
    offenders
}

/// The targets of the links in a line: `[text](target)` and `[label]: target`.
fn link_targets(line: &str) -> Vec<&str> {
    let until = |rest: &'_ str, end: &[char]| rest.find(end).unwrap_or(rest.len());
    let mut targets: Vec<&str> = Vec::new();
    for (at, opening) in line.match_indices("](") {
        let rest = &line[at + opening.len()..];
        targets.push(&rest[..until(rest, &[')', ' '])]);
    }
    let definition = line.strip_prefix('[').and_then(|rest| rest.split_once(']')?.1.strip_prefix(": "));
    targets.extend(definition.map(|rest| &rest[..until(rest, &[' '])]));
    targets
}

/// Decision records whose name is not `NNNN-title.md`, or whose number is another one's too.
pub fn misnumbered_records(paths: &[String]) -> Vec<String> {
    let number = |path: &str| -> Option<String> {
        let (number, title) = path.rsplit('/').next()?.split_once('-')?;
        let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && title.ends_with(".md")).then(|| number.to_string())
    };
    let mut seen = Vec::new();
    let mut offenders = Vec::new();
    for path in paths {
        match number(path) {
            None => offenders.push(format!("{path}: a record is called NNNN-title.md")),
            Some(number) if seen.contains(&number) => offenders.push(format!("{path}: {number} is taken")),
            Some(number) => seen.push(number),
        }
    }
    offenders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_somebodys_machine_is_found_and_a_relative_one_is_not() {
        for folder in MACHINE_FOLDERS {
            for line in [format!("cd {folder}me"), format!("\"{folder}x\""), format!("{folder}x")] {
                assert_eq!(machine_traces("a.md", &line).len(), 1, "{line}");
            }
            for line in [format!("src{folder}x"), format!("..{folder}x"), format!("$dir}}{folder}x")] {
                assert_eq!(machine_traces("a.md", &line), [""; 0], "{line}");
            }
        }
    }

    #[test]
    fn a_registry_is_found() {
        for host in REGISTRY_HOSTS {
            let text = format!("first\nsee https://{host}/x");
            assert_eq!(machine_traces("a.toml", &text), [format!("a.toml:2: {host}")]);
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let exists = |path: &str| matches!(path, "docs/there.md" | "docs/../README.md" | "there.md");
        let table = [
            ("docs/a.md", "see [x](gone.md)", 1),
            ("docs/a.md", "[x](there.md) and [y](gone.md#part \"title\")", 1),
            ("docs/a.md", "[label]: gone.md", 1),
            ("a.md", "[x](there.md)", 0),
            ("docs/a.md", "[x](there.md#part), [y](../README.md), [label]: not a definition", 0),
            ("docs/a.md", "[x](https://example.org/gone.md) [y](#part) <mailto:a@b>", 0),
            ("docs/a.md", "```\n[x](gone.md)\n```\n", 0),
        ];
        for (path, text, offenders) in table {
            assert_eq!(broken_links(path, text, exists).len(), offenders, "{path}: {text}");
        }
    }

    #[test]
    fn a_record_without_a_number_of_its_own_is_found() {
        let records =
            |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("docs/{name}")).collect() };
        assert_eq!(misnumbered_records(&records(&["0001-a.md", "0002-b.md"])), [""; 0]);
        assert_eq!(misnumbered_records(&records(&["0001-a.md", "0001-b.md"])).len(), 1);
        assert_eq!(misnumbered_records(&records(&["1-a.md", "notes.md", "0003-c.txt"])).len(), 3);
    }
}
