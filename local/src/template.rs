//! The deployment template, as far as the embedded cloud needs it: which functions there are and which objects
//! start them.

use std::sync::OnceLock;

use serde_yaml_ng::Value;

/// What template.yaml says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    functions: Vec<(String, String)>,
    routes: Vec<Route>,
}

/// Objects under a prefix, with the suffix if there is one, start a function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    prefix: String,
    suffix: String,
    folder: String,
}

impl Route {
    fn takes(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && key.ends_with(&self.suffix)
    }

    /// Whether there are keys that both take.
    fn overlaps(&self, other: &Self) -> bool {
        let either = |a: &str, b: &str, holds: fn(&str, &str) -> bool| holds(a, b) || holds(b, a);
        either(&self.prefix, &other.prefix, |a, b| a.starts_with(b))
            && either(&self.suffix, &other.suffix, |a, b| a.ends_with(b))
    }
}

/// A template that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Not YAML.
    #[error("the template is not YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// Something that every function or notification has is missing.
    #[error("the template's {resource} has no {field}")]
    Missing {
        /// The resource.
        resource: String,
        /// The field.
        field: &'static str,
    },
    /// S3 sends the event of one object to one function only.
    #[error(
        "the template sends objects under '{0}' and under '{1}' to different functions, and one holds the other"
    )]
    Overlap(String, String),
}

impl Template {
    /// The template that this program was built with.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn built_in() -> Result<Self, TemplateError> {
        static READ: OnceLock<Template> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(read.clone());
        }
        let read = Self::parse(include_str!("../../template.yaml"))?;
        Ok(READ.get_or_init(|| read).clone())
    }

    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let document: Value = serde_yaml_ng::from_str(text)?;
        let (mut functions, mut routes) = (Vec::new(), Vec::new());
        for (name, resource) in entries(&document["Resources"]) {
            if resource["Type"].as_str() != Some("AWS::Serverless::Function") {
                continue;
            }
            let missing = |field| TemplateError::Missing { resource: name.to_owned(), field };
            let code = resource["Properties"]["CodeUri"].as_str().ok_or_else(|| missing("CodeUri"))?;
            let folder = code.trim_end_matches('/').rsplit('/').next().unwrap_or(code);
            functions.push((name.to_owned(), folder.to_owned()));
            for (_, event) in entries(&resource["Properties"]["Events"]) {
                if event["Type"].as_str() != Some("S3") {
                    continue;
                }
                let rules = event["Properties"]["Filter"]["S3Key"]["Rules"].as_sequence();
                let rule = |name| {
                    let rule = rules.into_iter().flatten().find(|rule| rule["Name"].as_str() == Some(name));
                    rule.and_then(|rule| rule["Value"].as_str())
                };
                let prefix = rule("prefix").ok_or_else(|| missing("S3 prefix"))?.to_owned();
                let suffix = rule("suffix").unwrap_or_default().to_owned();
                routes.push(Route { prefix, suffix, folder: folder.to_owned() });
            }
        }
        for (index, route) in routes.iter().enumerate() {
            if let Some(other) = routes[index + 1..].iter().find(|other| other.overlaps(route)) {
                return Err(TemplateError::Overlap(route.prefix.clone(), other.prefix.clone()));
            }
        }
        Ok(Self { functions, routes })
    }

    /// The function that a new object starts, by folder name.
    #[must_use]
    pub fn started_by(&self, key: &str) -> Option<&str> {
        self.routes.iter().find(|route| route.takes(key)).map(|route| route.folder.as_str())
    }

    /// The folder name of a function, given that or its logical id.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&str> {
        let known = self.functions.iter().find(|(id, folder)| id == name || folder == name);
        known.map(|(_, folder)| folder.as_str())
    }

    /// All functions by folder name.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|(_, folder)| folder.as_str())
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_mapping().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str()?, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invoices_start_allocate() {
        let template = Template::built_in().unwrap();
        assert_eq!(template.started_by("raw/atlas/o/2026-10/i/x.json"), Some("allocate"));
        assert_eq!(template.started_by("raw/aws/1/2026-10/cur/x.manifest.json"), Some("allocate"));
        assert_eq!(template.started_by("raw/aws/1/2026-10/cur/x.csv.gz"), None);
        assert_eq!(template.started_by("raw/focus/aws/1/2026-10/i/export.csv.gz"), Some("allocate"));
        assert_eq!(template.started_by("raw/ccx/ccx.example.com/2026-10/usage/x.json"), None);
        assert_eq!(template.started_by("raw/prometheus/p.example.com/2026-10/cpu-share/x.json"), None);
        assert_eq!(template.started_by("usage/omnistrate/s/e/p/2026-10/x.json"), Some("meter-clazar"));
        assert_eq!(template.started_by("journal/2026-10/x.jsonl"), Some("report-revenue"));
        assert_eq!(template.started_by("certificates/x"), None);
        assert_eq!(template.function("FetchAtlas"), Some("fetch-atlas"));
        assert_eq!(template.function("nothing"), None);
    }

    #[test]
    fn overlapping_prefixes_are_refused_as_s3_refuses_them() {
        let function = |prefix: &str| {
            format!(
                "    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/x\n      Events:\n        E:\n          \
                 Type: S3\n          Properties: {{Filter: {{S3Key: {{Rules: [{{Name: prefix, Value: {prefix}}}]}}}}}}\n"
            )
        };
        let text = format!("Resources:\n  A:\n{}  B:\n{}", function("raw/"), function("raw/atlas/"));
        assert!(matches!(Template::parse(&text), Err(TemplateError::Overlap(..))));

        let route = |prefix: &str, suffix: &str| Route {
            prefix: prefix.into(),
            suffix: suffix.into(),
            folder: String::new(),
        };
        assert!(route("raw/", ".json").overlaps(&route("raw/aws/", "")));
        assert!(route("raw/", ".json").overlaps(&route("raw/aws/", ".manifest.json")));
        assert!(!route("raw/", ".json").overlaps(&route("raw/aws/", ".csv")));
        assert!(!route("raw/aws/", ".json").overlaps(&route("raw/gcp/", ".json")));
    }
}
