//! The FOCUS category of Google's services, by their descriptions in the export.

/// Words of a description and their category; the first that is found counts.
const WORDS: [(&str, &[&str]); 12] = [
    (
        "AI and Machine Learning",
        &[
            "Vertex AI",
            "Gemini",
            "Dialogflow",
            "Vision API",
            "Natural Language",
            "Translation",
            "Speech",
            "Document AI",
            "Machine Learning",
            "Notebooks",
        ],
    ),
    (
        "Databases",
        &["Cloud SQL", "Spanner", "Bigtable", "Firestore", "Datastore", "Memorystore", "AlloyDB", "Redis"],
    ),
    (
        "Analytics",
        &["BigQuery", "Dataflow", "Dataproc", "Looker", "Composer", "Dataplex", "Datastream", "Data Fusion"],
    ),
    (
        "Networking",
        &[
            "Networking",
            "Cloud DNS",
            "Cloud CDN",
            "VPN",
            "Interconnect",
            "NAT",
            "Load Balancing",
            "Traffic Director",
        ],
    ),
    (
        "Compute",
        &["Compute Engine", "Kubernetes", "Cloud Run", "App Engine", "Functions", "VMware", "Batch", "TPU"],
    ),
    ("Storage", &["Cloud Storage", "Filestore", "NetApp", "Backup"]),
    (
        "Integration",
        &[
            "Pub/Sub",
            "Eventarc",
            "Workflows",
            "Cloud Tasks",
            "Scheduler",
            "Apigee",
            "Application Integration",
        ],
    ),
    (
        "Security",
        &[
            "Key Management",
            "Secret Manager",
            "Security",
            "reCAPTCHA",
            "Certificate",
            "Armor",
            "Chronicle",
            "Confidential",
        ],
    ),
    ("Identity", &["Identity"]),
    ("Management and Governance", &["Logging", "Monitoring", "Stackdriver", "Trace", "Recommender", "Asset"]),
    (
        "Developer Tools",
        &[
            "Cloud Build",
            "Artifact Registry",
            "Container Registry",
            "Source Repositories",
            "Cloud Deploy",
            "Workstations",
        ],
    ),
    ("Migration", &["Migration", "Transfer"]),
];

/// The category of a service; `Other` for one that is not known.
pub(super) fn category_of(service: &str) -> &'static str {
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| service.contains(word)));
    found.map_or("Other", |(category, _)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_a_category_of_focus() {
        for (service, category) in [
            ("Compute Engine", "Compute"),
            ("Kubernetes Engine", "Compute"),
            ("Cloud Run Functions", "Compute"),
            ("Cloud Storage", "Storage"),
            ("Cloud SQL", "Databases"),
            ("Cloud Memorystore for Redis", "Databases"),
            ("BigQuery Reservation API", "Analytics"),
            ("Cloud Pub/Sub", "Integration"),
            ("Secret Manager", "Security"),
            ("Cloud Logging", "Management and Governance"),
            ("Networking", "Networking"),
            ("Support", "Other"),
            ("Invoice", "Other"),
        ] {
            assert_eq!(category_of(service), category, "{service}");
        }
        for (category, _) in WORDS {
            assert!(crate::charge::service_category(category).is_some(), "{category}");
        }
    }
}
