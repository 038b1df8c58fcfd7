/** What an SDK call fails with: `name`, `code` where the protocol tells one, HTTP `status` and `message`. Throws when it does not fail. */
export const failure = async (
  call: Promise<unknown>,
): Promise<{ name: string; code: unknown; status: unknown; message: string }> => {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const metadata = '$metadata' in error && typeof error.$metadata === 'object' ? error.$metadata : {};
    const status = metadata && 'httpStatusCode' in metadata ? metadata.httpStatusCode : undefined;
    const code = 'Code' in error ? error.Code : undefined;
    return { name: error.name, code, status, message: error.message };
  }
  throw new Error('The call should have failed');
};
