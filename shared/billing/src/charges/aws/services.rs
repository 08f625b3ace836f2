//! Services of AWS by their code (`product_servicecode`) or by the name that Cost Explorer shows, with FOCUS' category.

/// A service: code, name and category.
type Service = (&'static str, &'static str, &'static str);

/// In the order of their codes.
const SERVICES: [Service; 61] = [
    ("AWSBackup", "AWS Backup", "Storage"),
    ("AWSCloudFormation", "AWS CloudFormation", "Management and Governance"),
    ("AWSCloudTrail", "AWS CloudTrail", "Management and Governance"),
    ("AWSConfig", "AWS Config", "Management and Governance"),
    ("AWSCostExplorer", "AWS Cost Explorer", "Management and Governance"),
    ("AWSDataTransfer", "AWS Data Transfer", "Networking"),
    ("AWSDatabaseMigrationSvc", "AWS Database Migration Service", "Migration"),
    ("AWSDeveloperSupport", "AWS Support (Developer)", "Other"),
    ("AWSDirectConnect", "AWS Direct Connect", "Networking"),
    ("AWSDirectoryService", "AWS Directory Service", "Identity"),
    ("AWSEnterpriseOnRampSupport", "AWS Support (Enterprise On-Ramp)", "Other"),
    ("AWSEnterpriseSupport", "AWS Support (Enterprise)", "Other"),
    ("AWSEvents", "Amazon EventBridge", "Integration"),
    ("AWSGlue", "AWS Glue", "Analytics"),
    ("AWSIoT", "AWS IoT", "Internet of Things"),
    ("AWSLambda", "AWS Lambda", "Compute"),
    ("AWSQueueService", "Amazon Simple Queue Service", "Integration"),
    ("AWSSecretsManager", "AWS Secrets Manager", "Security"),
    ("AWSSecurityHub", "AWS Security Hub", "Security"),
    ("AWSShield", "AWS Shield", "Security"),
    ("AWSStorageGateway", "AWS Storage Gateway", "Storage"),
    ("AWSSupportBusiness", "AWS Support (Business)", "Other"),
    ("AWSSystemsManager", "AWS Systems Manager", "Management and Governance"),
    ("AWSTransfer", "AWS Transfer Family", "Migration"),
    ("AWSXRay", "AWS X-Ray", "Developer Tools"),
    ("AmazonApiGateway", "Amazon API Gateway", "Integration"),
    ("AmazonAthena", "Amazon Athena", "Analytics"),
    ("AmazonBedrock", "Amazon Bedrock", "AI and Machine Learning"),
    ("AmazonCloudFront", "Amazon CloudFront", "Networking"),
    ("AmazonCloudWatch", "AmazonCloudWatch", "Management and Governance"),
    ("AmazonCognito", "Amazon Cognito", "Identity"),
    ("AmazonDocDB", "Amazon DocumentDB (with MongoDB compatibility)", "Databases"),
    ("AmazonDynamoDB", "Amazon DynamoDB", "Databases"),
    ("AmazonEC2", "Amazon Elastic Compute Cloud", "Compute"),
    ("AmazonECR", "Amazon EC2 Container Registry (ECR)", "Compute"),
    ("AmazonECS", "Amazon Elastic Container Service", "Compute"),
    ("AmazonEFS", "Amazon Elastic File System", "Storage"),
    ("AmazonEKS", "Amazon Elastic Container Service for Kubernetes", "Compute"),
    ("AmazonES", "Amazon OpenSearch Service", "Analytics"),
    ("AmazonElastiCache", "Amazon ElastiCache", "Databases"),
    ("AmazonFSx", "Amazon FSx", "Storage"),
    ("AmazonGlacier", "Amazon Glacier", "Storage"),
    ("AmazonGuardDuty", "Amazon GuardDuty", "Security"),
    ("AmazonInspectorV2", "Amazon Inspector", "Security"),
    ("AmazonKinesis", "Amazon Kinesis", "Analytics"),
    ("AmazonKinesisFirehose", "Amazon Data Firehose", "Analytics"),
    ("AmazonLightsail", "Amazon Lightsail", "Compute"),
    ("AmazonMSK", "Amazon Managed Streaming for Apache Kafka", "Analytics"),
    ("AmazonMQ", "Amazon MQ", "Integration"),
    ("AmazonNeptune", "Amazon Neptune", "Databases"),
    ("AmazonQuickSight", "Amazon QuickSight", "Analytics"),
    ("AmazonRDS", "Amazon Relational Database Service", "Databases"),
    ("AmazonRedshift", "Amazon Redshift", "Analytics"),
    ("AmazonRoute53", "Amazon Route 53", "Networking"),
    ("AmazonS3", "Amazon Simple Storage Service", "Storage"),
    ("AmazonSES", "Amazon Simple Email Service", "Business Applications"),
    ("AmazonSNS", "Amazon Simple Notification Service", "Integration"),
    ("AmazonSageMaker", "Amazon SageMaker", "AI and Machine Learning"),
    ("AmazonVPC", "Amazon Virtual Private Cloud", "Networking"),
    ("ComputeSavingsPlans", "Savings Plans for AWS Compute usage", "Compute"),
    ("awskms", "AWS Key Management Service", "Security"),
];

/// Names by which Cost Explorer shows parts of a service, or shows it otherwise.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("Amazon Elastic Compute Cloud - Compute", "Compute"),
    ("EC2 - Other", "Compute"),
    ("AWS WAF", "Security"),
    ("AWS Data Transfer", "Networking"),
    ("Elastic Load Balancing", "Networking"),
];

/// Name and FOCUS category of the service with a code; one that is not known keeps its code and is `Other`.
pub(super) fn by_code(code: &str) -> (String, &'static str) {
    let known = SERVICES.iter().find(|(known, ..)| *known == code);
    known.map_or((code.to_owned(), "Other"), |(_, name, category)| ((*name).to_owned(), category))
}

/// The FOCUS category of a service by its name.
pub(super) fn category(name: &str) -> &'static str {
    let other = OTHER_NAMES.iter().find(|(known, _)| *known == name).map(|(_, category)| *category);
    let known = || SERVICES.iter().find(|(_, known, _)| *known == name).map(|(.., category)| *category);
    other.or_else(known).unwrap_or("Other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::service_category;

    #[test]
    fn every_category_is_one_of_focus_and_no_service_stands_twice() {
        let categories =
            SERVICES.iter().map(|(.., category)| category).chain(OTHER_NAMES.iter().map(|(_, it)| it));
        assert!(categories.into_iter().all(|category| service_category(category).is_some()));
        let mut codes: Vec<_> = SERVICES.iter().map(|(code, ..)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), SERVICES.len());
        assert_eq!(by_code("AmazonEC2"), ("Amazon Elastic Compute Cloud".to_owned(), "Compute"));
        assert_eq!(by_code("prod-abcdefg123456"), ("prod-abcdefg123456".to_owned(), "Other"));
        assert_eq!(category("Amazon Simple Storage Service"), "Storage");
    }
}
