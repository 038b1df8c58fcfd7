/** The way to another organisation, unless managed settings fix it. */
import { Button } from '@mantine/core';
import { useMain } from '../app-context.ts';

export const OtherOrganisation = ({ onOther }: { onOther: () => void }) => {
  const { state } = useMain();
  if (state.organisationManaged) return null;
  return (
    <Button variant="subtle" onClick={onOther}>
      Use another organisation
    </Button>
  );
};
