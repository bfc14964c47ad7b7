//! The shipped file and the defaults say the same, in both directions.

use super::keys::KEYS;
use super::kind::{HIDDEN_KEY, Raw};
use super::*;

const SHIPPED: &str = include_str!("../../config.yml");

#[test]
fn the_shipped_file_has_every_key_and_no_other() {
    let tree = Tree::parse(SHIPPED).unwrap();
    let in_file: Vec<_> =
        tree.names().filter(|(path, _)| path.len() == 2).map(|(path, _)| path.join(".")).collect();
    let known: Vec<_> = KEYS.iter().map(|key| key.full_name()).collect();
    assert_eq!(in_file, known, "the same keys in the same order");
    let sections_in_file = tree.names().filter(|(path, _)| path.len() == 1).map(|(path, _)| path[0].clone());
    assert_eq!(sections_in_file.collect::<Vec<_>>(), sections());
}

#[test]
fn the_shipped_file_says_of_each_key_what_its_default_is() {
    let tree = Tree::parse(SHIPPED).unwrap();
    for key in KEYS {
        let name = key.full_name();
        let value = tree.value(&[key.section, key.name]).unwrap_or_else(|| panic!("{name} is in the file"));
        let mut config = Config::default();
        key.kind.read(Raw::Tree(value), &mut config).unwrap_or_else(|wrongs| panic!("{name}: {wrongs:?}"));
        assert_eq!(config, Config::default(), "{name}");
    }
}

#[test]
fn every_range_in_the_shipped_comments_is_the_one_that_is_judged() {
    for key in KEYS {
        let allowed = key.kind.allowed();
        let Some((_, range)) = allowed.split_once(" from ") else { continue };
        let range = range.split(',').next().unwrap_or_default();
        let place = Tree::parse(SHIPPED).unwrap().line(&[key.section, key.name]);
        let above: Vec<_> = SHIPPED.lines().take(place - 1).collect();
        let comment: Vec<_> = above
            .iter()
            .rev()
            .take_while(|line| line.trim().starts_with('#'))
            .map(|line| line.trim())
            .collect();
        let comment = comment.into_iter().rev().collect::<Vec<_>>().join(" ").replace(" # ", " ");
        let ends = range.split(" or ").next().unwrap_or_default();
        assert!(comment.contains(ends), "{}: {ends:?} is not in {comment:?}", key.full_name());
    }
}

#[test]
fn loading_the_compiled_in_copy_gives_the_defaults() {
    let args = Args { config: Some("builtin".into()), ..Args::default() };
    let loaded = load(&args, [("", ""); 0], Path::new("/")).unwrap();
    assert_eq!((loaded.config, loaded.source), (Config::default(), Source::Builtin));
}

#[test]
fn what_is_printed_is_a_file_once_the_keys_are_put_back() {
    let yaml = Config::default().to_yaml();
    assert!(!yaml.contains(EXAMPLE_MASTER_KEY), "{yaml}");
    let tree = Tree::parse(&yaml.replace(HIDDEN_KEY, EXAMPLE_MASTER_KEY)).unwrap();
    let mut layers = Layers::default();
    layers.file(&Source::Builtin, &tree);
    assert_eq!(layers.finish().unwrap(), Config::default());

    let mut layers = Layers::default();
    layers.file(&Source::Builtin, &Tree::parse(&yaml).unwrap());
    assert!(layers.finish().is_err(), "a placeholder is never taken for a key");
}

#[test]
fn no_key_shares_its_variable_or_name() {
    let mut variables: Vec<_> = KEYS.iter().map(|key| key.variable()).collect();
    assert!(variables.contains(&"SESHUN_LIMITS_REQUESTS_PER_TURN".to_owned()));
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), KEYS.len());
    assert!(!variables.contains(&"SESHUN_CONFIG".to_owned()));
}

#[test]
fn no_secret_is_in_the_debug_output() {
    let args = Args { config: Some("builtin".into()), ..Args::default() };
    let loaded = load(&args, [("SESHUN_AUTH_MASTER_KEYS", "0123456789abcdef")], Path::new("/")).unwrap();
    assert!(!format!("{loaded:?}").contains("0123456789abcdef"));
}
