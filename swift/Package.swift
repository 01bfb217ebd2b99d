// swift-tools-version: 6.0

import PackageDescription

let package = Package(
    name: "OpenClaw",
    platforms: [.macOS(.v14), .iOS(.v17)],
    products: [
        .library(name: "OpenClawProtocol", targets: ["OpenClawProtocol"]),
        .library(name: "OpenClawGateway", targets: ["OpenClawGateway"]),
    ],
    targets: [
        .target(name: "OpenClawProtocol"),
        .target(name: "OpenClawGateway"),
        .testTarget(name: "OpenClawProtocolTests", dependencies: ["OpenClawProtocol"]),
        .testTarget(name: "OpenClawGatewayTests", dependencies: ["OpenClawGateway"]),
    ],
    swiftLanguageModes: [.v6]
)
