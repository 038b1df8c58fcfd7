import type { World } from '../world.ts';
/** @param lastSeen when nodes that do not answer were last heard of. @throws AwsError */
export declare const describeInstanceInformation: (input: unknown, from: {
    world: World;
    accountId: string;
    region: string;
    now: Date;
    lastSeen: Date;
}) => {
    InstanceInformationList: ({
        Name: string;
        ComputerName: string;
        IamRole: string;
        SourceType: string;
        InstanceId: string;
        PingStatus: string;
        LastPingDateTime: number;
        AgentVersion: string;
        IsLatestVersion: boolean;
        PlatformType: "Linux" | "Windows" | "MacOS";
        PlatformName: string;
        PlatformVersion: string;
        ResourceType: "EC2Instance" | "ManagedInstance";
        IPAddress: string;
        SourceId: string;
    } | {
        ComputerName: string;
        SourceType: string;
        InstanceId: string;
        PingStatus: string;
        LastPingDateTime: number;
        AgentVersion: string;
        IsLatestVersion: boolean;
        PlatformType: "Linux" | "Windows" | "MacOS";
        PlatformName: string;
        PlatformVersion: string;
        ResourceType: "EC2Instance" | "ManagedInstance";
        IPAddress: string;
        SourceId: string;
    })[];
    NextToken: string | undefined;
};
/** Tags of a hybrid node; those of EC2 instances are EC2's. @throws AwsError InvalidResourceType, InvalidResourceId */
export declare const listTagsForResource: (input: unknown, from: {
    world: World;
    accountId: string;
    region: string;
}) => {
    TagList: {
        Key: string;
        Value: string;
    }[];
};
