import { z } from 'zod';
declare const worldSessionDocument: z.ZodObject<{
    name: z.ZodString;
    description: z.ZodString;
    maxSessionMinutes: z.ZodInt;
    idleMinutes: z.ZodDefault<z.ZodInt>;
    runAsUser: z.ZodDefault<z.ZodNullable<z.ZodString>>;
}, z.core.$strict>;
export declare const worldInstance: z.ZodObject<{
    id: z.ZodString;
    name: z.ZodString;
    account: z.ZodString;
    region: z.ZodString;
    platform: z.ZodDefault<z.ZodEnum<{
        Linux: "Linux";
        Windows: "Windows";
        MacOS: "MacOS";
    }>>;
    platformName: z.ZodDefault<z.ZodString>;
    platformVersion: z.ZodDefault<z.ZodString>;
    online: z.ZodDefault<z.ZodBoolean>;
    ipAddress: z.ZodIPv4;
    agentVersion: z.ZodDefault<z.ZodString>;
    tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
    shell: z.ZodOptional<z.ZodArray<z.ZodString>>;
}, z.core.$strict>;
export declare const worldPerson: z.ZodObject<{
    userName: z.ZodString;
    id: z.ZodUUID;
    displayName: z.ZodString;
    email: z.ZodEmail;
    enabled: z.ZodDefault<z.ZodBoolean>;
    groups: z.ZodArray<z.ZodString>;
}, z.core.$strict>;
declare const worldFileSchema: z.ZodObject<{
    organisation: z.ZodObject<{
        name: z.ZodString;
        organisationId: z.ZodString;
        identityStoreId: z.ZodString;
        startUrl: z.ZodURL;
        region: z.ZodString;
    }, z.core.$strict>;
    groups: z.ZodArray<z.ZodObject<{
        name: z.ZodString;
        id: z.ZodUUID;
        description: z.ZodDefault<z.ZodString>;
    }, z.core.$strict>>;
    people: z.ZodArray<z.ZodObject<{
        userName: z.ZodString;
        id: z.ZodUUID;
        displayName: z.ZodString;
        email: z.ZodEmail;
        enabled: z.ZodDefault<z.ZodBoolean>;
        groups: z.ZodArray<z.ZodString>;
    }, z.core.$strict>>;
    permissionSets: z.ZodArray<z.ZodObject<{
        name: z.ZodString;
        description: z.ZodDefault<z.ZodString>;
        sessionSeconds: z.ZodDefault<z.ZodInt>;
        inlinePolicy: z.ZodObject<{
            Version: z.ZodLiteral<"2012-10-17">;
            Statement: z.ZodArray<z.ZodObject<{
                Effect: z.ZodEnum<{
                    Allow: "Allow";
                    Deny: "Deny";
                }>;
            }, z.core.$loose>>;
        }, z.core.$loose>;
        assignments: z.ZodArray<z.ZodObject<{
            account: z.ZodString;
            suffix: z.ZodString;
            groups: z.ZodArray<z.ZodString>;
        }, z.core.$strict>>;
    }, z.core.$strict>>;
    accounts: z.ZodArray<z.ZodObject<{
        users: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            accessKeys: z.ZodDefault<z.ZodArray<z.ZodObject<{
                accessKeyId: z.ZodString;
                secretAccessKey: z.ZodString;
            }, z.core.$strict>>>;
            groups: z.ZodDefault<z.ZodArray<z.ZodString>>;
            inlinePolicies: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>>>;
            attachedPolicyArns: z.ZodDefault<z.ZodArray<z.ZodString>>;
            boundaryArn: z.ZodDefault<z.ZodNullable<z.ZodString>>;
            tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
        }, z.core.$strict>>>;
        groups: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            inlinePolicies: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>>>;
            attachedPolicyArns: z.ZodDefault<z.ZodArray<z.ZodString>>;
        }, z.core.$strict>>>;
        roles: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            trust: z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>;
            inlinePolicies: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>>>;
            attachedPolicyArns: z.ZodDefault<z.ZodArray<z.ZodString>>;
            boundaryArn: z.ZodDefault<z.ZodNullable<z.ZodString>>;
            maxSessionSeconds: z.ZodDefault<z.ZodInt>;
            tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
            description: z.ZodDefault<z.ZodString>;
        }, z.core.$strict>>>;
        managedPolicies: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            document: z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>;
        }, z.core.$strict>>>;
        sessionDocuments: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            description: z.ZodString;
            maxSessionMinutes: z.ZodInt;
            idleMinutes: z.ZodDefault<z.ZodInt>;
            runAsUser: z.ZodDefault<z.ZodNullable<z.ZodString>>;
        }, z.core.$strict>>>;
        id: z.ZodString;
        name: z.ZodString;
        email: z.ZodEmail;
    }, z.core.$strict>>;
    everyAccount: z.ZodPrefault<z.ZodObject<{
        users: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            accessKeys: z.ZodDefault<z.ZodArray<z.ZodObject<{
                accessKeyId: z.ZodString;
                secretAccessKey: z.ZodString;
            }, z.core.$strict>>>;
            groups: z.ZodDefault<z.ZodArray<z.ZodString>>;
            inlinePolicies: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>>>;
            attachedPolicyArns: z.ZodDefault<z.ZodArray<z.ZodString>>;
            boundaryArn: z.ZodDefault<z.ZodNullable<z.ZodString>>;
            tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
        }, z.core.$strict>>>;
        groups: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            inlinePolicies: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>>>;
            attachedPolicyArns: z.ZodDefault<z.ZodArray<z.ZodString>>;
        }, z.core.$strict>>>;
        roles: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            trust: z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>;
            inlinePolicies: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>>>;
            attachedPolicyArns: z.ZodDefault<z.ZodArray<z.ZodString>>;
            boundaryArn: z.ZodDefault<z.ZodNullable<z.ZodString>>;
            maxSessionSeconds: z.ZodDefault<z.ZodInt>;
            tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
            description: z.ZodDefault<z.ZodString>;
        }, z.core.$strict>>>;
        managedPolicies: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            path: z.ZodDefault<z.ZodString>;
            document: z.ZodObject<{
                Version: z.ZodLiteral<"2012-10-17">;
                Statement: z.ZodArray<z.ZodObject<{
                    Effect: z.ZodEnum<{
                        Allow: "Allow";
                        Deny: "Deny";
                    }>;
                }, z.core.$loose>>;
            }, z.core.$loose>;
        }, z.core.$strict>>>;
        sessionDocuments: z.ZodDefault<z.ZodArray<z.ZodObject<{
            name: z.ZodString;
            description: z.ZodString;
            maxSessionMinutes: z.ZodInt;
            idleMinutes: z.ZodDefault<z.ZodInt>;
            runAsUser: z.ZodDefault<z.ZodNullable<z.ZodString>>;
        }, z.core.$strict>>>;
    }, z.core.$strict>>;
    instances: z.ZodArray<z.ZodObject<{
        id: z.ZodString;
        name: z.ZodString;
        account: z.ZodString;
        region: z.ZodString;
        platform: z.ZodDefault<z.ZodEnum<{
            Linux: "Linux";
            Windows: "Windows";
            MacOS: "MacOS";
        }>>;
        platformName: z.ZodDefault<z.ZodString>;
        platformVersion: z.ZodDefault<z.ZodString>;
        online: z.ZodDefault<z.ZodBoolean>;
        ipAddress: z.ZodIPv4;
        agentVersion: z.ZodDefault<z.ZodString>;
        tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
        shell: z.ZodOptional<z.ZodArray<z.ZodString>>;
    }, z.core.$strict>>;
}, z.core.$strict>;
type WorldFile = z.infer<typeof worldFileSchema>;
export type WorldSessionDocument = z.infer<typeof worldSessionDocument>;
export type WorldInstance = z.infer<typeof worldInstance>;
export type WorldPerson = z.infer<typeof worldPerson>;
export type WorldDirectoryGroup = WorldFile['groups'][number];
/** `roles` holds the roles of permission sets too. */
type WorldAccount = WorldFile['accounts'][number];
export type World = {
    organisation: WorldFile['organisation'];
    /** Identity Center's groups, not IAM's. */
    groups: WorldDirectoryGroup[];
    people: WorldPerson[];
    permissionSets: WorldFile['permissionSets'];
    accounts: WorldAccount[];
    instances: WorldInstance[];
};
export declare const reservedRoleName: (permissionSet: string, suffix: string) => string;
/** @param fileName for messages only. @throws FileError with file, line and column of everything that is wrong. */
export declare const parseWorld: (text: string, fileName: string) => World;
/** @throws FileError, or the error of reading the file. */
export declare const readWorld: (file: string) => World;
/** The ARN that IAM knows an instance by: hybrid nodes (`mi-`) belong to SSM. */
export declare const instanceArn: (instance: WorldInstance) => string;
export {};
