//! FOCUS' service categories of Azure's meter categories and service families.

use crate::charge::service_category;

/// The category of a service: by its meter category where that is known, because rows of enrollments may name the family of the
/// machine that it runs on; else by its family.
pub(super) fn category(meter_category: Option<&str>, family: Option<&str>) -> &'static str {
    meter_category.and_then(of_meter).or_else(|| family.map(of_family)).unwrap_or("Other")
}

fn of_meter(category: &str) -> Option<&'static str> {
    Some(match category {
        "Storage" | "Azure NetApp Files" | "Azure Data Lake Storage" | "Backup" => "Storage",
        "Application Gateway"
        | "Azure DNS"
        | "Azure Front Door Service"
        | "Bandwidth"
        | "Content Delivery Network"
        | "ExpressRoute"
        | "Load Balancer"
        | "NAT Gateway"
        | "Network Watcher"
        | "Traffic Manager"
        | "VPN Gateway"
        | "Virtual Network"
        | "Virtual WAN" => "Networking",
        "Azure Cosmos DB" | "Redis Cache" | "SQL Database" | "SQL Managed Instance" | "SQL Server" => {
            "Databases"
        }
        database if database.starts_with("Azure Database for ") => "Databases",
        "Azure Monitor" | "Automation" | "Log Analytics" | "Application Insights" => {
            "Management and Governance"
        }
        "Advanced Data Security"
        | "Advanced Threat Protection"
        | "Azure Firewall"
        | "Key Vault"
        | "Microsoft Defender for Cloud"
        | "Security Center"
        | "Sentinel" => "Security",
        "Azure Data Factory v2"
        | "Azure Databricks"
        | "Azure Synapse Analytics"
        | "HDInsight"
        | "Power BI" => "Analytics",
        "Azure Kubernetes Service"
        | "Cloud Services"
        | "Container Instances"
        | "Functions"
        | "Virtual Machines"
        | "Virtual Machines Licenses" => "Compute",
        "Azure App Service" => "Web",
        "API Management" | "Event Grid" | "Event Hubs" | "Logic Apps" | "Service Bus" => "Integration",
        _ => return None,
    })
}

fn of_family(family: &str) -> &'static str {
    match family {
        "AI + Machine Learning" => "AI and Machine Learning",
        "Azure Arc" | "Azure Stack" => "Multicloud",
        "Containers" | "Windows Virtual Desktop" => "Compute",
        "Azure Communication Services" => "Web",
        "Azure Security" => "Security",
        "Data" => "Databases",
        "Microsoft Entra" => "Identity",
        "Dynamics" | "Microsoft Syntex" | "Power Platform" => "Business Applications",
        known => service_category(known).unwrap_or("Other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::SERVICE_CATEGORIES;

    #[test]
    fn the_meter_category_decides_then_the_family() {
        for (meter, family, expected) in [
            (Some("Storage"), Some("Compute"), "Storage"),
            (Some("Azure Database for MySQL"), Some("Compute"), "Databases"),
            (Some("Something"), Some("AI + Machine Learning"), "AI and Machine Learning"),
            (Some("Something"), Some("Networking"), "Networking"),
            (None, Some("Mixed Reality"), "Other"),
            (None, None, "Other"),
        ] {
            assert_eq!(category(meter, family), expected, "{meter:?} {family:?}");
            assert!(SERVICE_CATEGORIES.contains(&expected));
        }
    }
}
