/** The pages a person sees in the browser: plain HTML without script, and honest about what answers here. */
import type { World } from '../world.ts';
/** A page that only says something. */
export declare const messagePage: (title: string, text: string) => string;
/**
 * The page that asks who signs in and whether the client may act for them. Fields of the form (POST, urlencoded):
 * `user_name`, `decision` = `allow` | `deny`, the hidden fields as they came and, for a device code, `user_code`.
 */
export declare const consentPage: (options: {
    world: World;
    clientName: string | null;
    action: string;
    hidden: Record<string, string>;
    /** Ask for a device code, filled in with this text. */
    userCode?: string;
    problem?: string;
}) => string;
