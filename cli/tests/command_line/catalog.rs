//! A catalog is checked, put in force, looked at and compared.

use super::Desk;

const EXAMPLE: &str = include_str!("../../../examples/catalog.yaml");

#[test]
fn all_mistakes_of_a_catalog_are_named_at_once_and_nothing_is_put_in_force() {
    let desk = Desk::new();
    let wrong = EXAMPLE
        .replace("customer: Team Blue, percentage", "customer: Tem Blue, percentage")
        .replace("62.5", "60");
    desk.write("wrong.yaml", wrong.as_bytes());
    for command in ["check", "apply"] {
        let answer = desk.run(&["catalog", command, "wrong.yaml", "--format", "csv"]);
        assert_eq!(answer.code, 1, "{}", answer.err);
        assert!(
            answer
                .out
                .contains("accounts[0].customer,\"unknown customer 'Tem Blue', did you mean 'Team Blue'?\""),
            "{}",
            answer.out
        );
        assert!(answer.out.contains("97.5"), "{}", answer.out);
        assert!(answer.err.contains("2 problems; nothing was changed"), "{}", answer.err);
    }
    let show = desk.run(&["catalog", "show"]);
    assert!(
        show.err.contains("no catalog is in force; put one there with: monthend catalog apply FILE"),
        "{}",
        show.err
    );
}

#[test]
fn a_catalog_is_put_in_force_by_version_and_versions_are_compared() {
    let desk = Desk::new();
    desk.write("catalog.yaml", EXAMPLE.as_bytes());
    let checked = desk.run(&["catalog", "check", "catalog.yaml", "--format", "csv"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(checked.out.contains("pools,5"), "{}", checked.out);
    let applied = desk.run(&["catalog", "apply", "catalog.yaml"]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    assert!(applied.err.contains("is in force; before: there was none"), "{}", applied.err);
    assert_eq!(desk.run(&["catalog", "show"]).out, EXAMPLE);
    let again = desk.run(&["catalog", "apply", "catalog.yaml"]);
    assert!(again.err.contains("is in force already"), "{}", again.err);

    desk.write("dearer.yaml", EXAMPLE.replace("per_unit: 150", "per_unit: 160").as_bytes());
    let row = "components,managed-db,price.per_unit,150,160";
    let diff = desk.run(&["catalog", "diff", "dearer.yaml", "--format", "csv"]);
    assert_eq!(diff.out.lines().nth(1), Some(row), "{}{}", diff.out, diff.err);
    let applied = desk.run(&["catalog", "apply", "dearer.yaml", "--format", "csv"]);
    assert!(applied.out.contains(row), "{}", applied.out);
    // both versions stand, and are named by the beginning of their hash
    let versions: Vec<String> = desk
        .run(&["ls", "catalog/versions/", "--format", "csv"])
        .out
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    assert_eq!(versions.len(), 2, "{versions:?}");
    let version = |at: usize| versions[at].trim_start_matches("catalog/versions/")[..12].to_owned();
    let diff = desk.run(&["catalog", "diff", &version(0), &version(1), "--format", "csv"]);
    assert_eq!(diff.out.lines().count(), 2, "{}{}", diff.out, diff.err);
    let typo = desk.run(&["catalog", "diff", "catlog.yaml"]);
    assert!(typo.err.contains("there is no file catlog.yaml"), "{}", typo.err);
    // what somebody broke by hand can be replaced
    desk.write("broken.yaml", b"[a");
    desk.run(&["put", "broken.yaml", "catalog/current.yaml"]);
    let mended = desk.run(&["catalog", "apply", "catalog.yaml"]);
    assert_eq!(mended.code, 0, "{}", mended.err);
    assert!(
        mended.err.contains("the catalog in force cannot be compared: the older of the two cannot be read"),
        "{}",
        mended.err
    );
    let unknown = desk.run(&["catalog", "show", "0000000000"]);
    assert!(unknown.err.contains("no version begins with '0000000000'"), "{}", unknown.err);
}
